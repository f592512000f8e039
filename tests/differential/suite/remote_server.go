package tests

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/influxdata/influxdb/models"
	"github.com/influxdata/influxdb/services/meta"
)

// RemoteServer is a server elsewhere, which is spoken to by HTTP alone. InfluxDB's own tests had one until 1.8; without it they only
// know a server of their own process.
type RemoteServer struct {
	*client
	url string
}

// newRemoteServer returns the server at url, without any database.
func newRemoteServer(url string) Server {
	server := &RemoteServer{
		url:    url,
		client: &client{URLFn: func() string { return url }},
	}
	if err := server.Reset(); err != nil {
		panic(err)
	}
	return server
}

func (s *RemoteServer) URL() string { return s.url }

func (s *RemoteServer) TcpAddr() string {
	panic("nobody tells the port of backups of a server elsewhere")
}

func (s *RemoteServer) Open() error {
	answer, err := http.Get(s.url + "/ping")
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusNoContent {
		return fmt.Errorf("/ping: %s", answer.Status)
	}
	return nil
}

func (s *RemoteServer) SetLogOutput(io.Writer) {}

func (s *RemoteServer) Close() {}

func (s *RemoteServer) Closed() bool { return true }

func (s *RemoteServer) state(format string, values ...interface{}) error {
	_, err := s.HTTPPost(s.url+"/query?q="+url.QueryEscape(fmt.Sprintf(format, values...)), nil)
	return err
}

func (s *RemoteServer) CreateDatabase(db string) (*meta.DatabaseInfo, error) {
	return &meta.DatabaseInfo{}, s.state("CREATE DATABASE %q", db)
}

func (s *RemoteServer) CreateDatabaseAndRetentionPolicy(db string, rp *meta.RetentionPolicySpec, makeDefault bool) error {
	if _, err := s.CreateDatabase(db); err != nil {
		return err
	}
	statement := fmt.Sprintf("CREATE RETENTION POLICY %q ON %q DURATION %s REPLICATION %d SHARD DURATION %s",
		rp.Name, db, rp.Duration, *rp.ReplicaN, rp.ShardGroupDuration)
	if makeDefault {
		statement += " DEFAULT"
	}
	if limit := rp.FutureWriteLimit; limit != nil && *limit > 0 {
		statement += fmt.Sprintf(" FUTURE LIMIT %s", limit)
	}
	if limit := rp.PastWriteLimit; limit != nil && *limit > 0 {
		statement += fmt.Sprintf(" PAST LIMIT %s", limit)
	}
	return s.state("%s", statement)
}

func (s *RemoteServer) CreateSubscription(database, rp, name, mode string, destinations []string) error {
	return s.state("CREATE SUBSCRIPTION %q ON %q.%q DESTINATIONS %s '%s'", name, database, rp, mode, strings.Join(destinations, "', '"))
}

func (s *RemoteServer) DropDatabase(db string) error {
	return s.state("DROP DATABASE %q", db)
}

// Reset drops all databases and users.
func (s *RemoteServer) Reset() error {
	databases, err := s.names("SHOW DATABASES")
	if err != nil {
		return err
	}
	for _, database := range databases {
		if err := s.DropDatabase(database); err != nil {
			return err
		}
	}
	users, err := s.names("SHOW USERS")
	if err != nil {
		return err
	}
	for _, user := range users {
		if err := s.state("DROP USER %q", user); err != nil {
			return err
		}
	}
	return nil
}

// names returns the first column of an answer.
func (s *RemoteServer) names(statement string) ([]string, error) {
	text, err := s.Query(statement)
	if err != nil {
		return nil, err
	}
	var answer struct {
		Results []struct {
			Series []struct {
				Values [][]interface{}
			}
		}
	}
	if err := json.Unmarshal([]byte(text), &answer); err != nil {
		return nil, err
	}
	var names []string
	for _, result := range answer.Results {
		for _, series := range result.Series {
			for _, row := range series.Values {
				names = append(names, row[0].(string))
			}
		}
	}
	return names, nil
}

func (s *RemoteServer) WritePoints(database, retentionPolicy string, _ models.ConsistencyLevel, _ meta.User, points []models.Point) error {
	lines := make([]string, len(points))
	for number, point := range points {
		lines[number] = point.String()
	}
	_, err := s.Write(database, retentionPolicy, strings.Join(lines, "\n"), nil)
	return err
}
