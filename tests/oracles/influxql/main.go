// Tells what InfluxDB's own parser makes of queries, for tests/influxql_differential.rs.
//
// Each request on standard input is one letter, then texts, each preceded by its length (32 bits, big endian):
//
//	q <query>                      what it is
//	p <query> <pinned> <now>       whether the pinned text means at a later time what the query meant at now (decimal)
//
// Each answer is one line of JSON.
package main

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/influxdata/influxql"
)

// The values that the generator's bound parameters have.
var params = map[string]interface{}{
	"now":   map[string]interface{}{"ident": "now"},
	"time":  map[string]interface{}{"ident": "time"},
	"name":  map[string]interface{}{"ident": "bound_name"},
	"regex": map[string]interface{}{"regex": "bound"},
	"text":  "a string",
	"hour":  map[string]interface{}{"duration": "1h"},
	"count": json.Number("5"),
}

type statement struct {
	Kind      string   `json:"kind"`
	Class     string   `json:"class"`
	Databases []string `json:"databases"`
	Default   bool     `json:"default"`
	// The measurements that it names, those of a regular expression aside.
	Measurements []string `json:"measurements"`
	Regex        bool     `json:"regex"`
}

type answer struct {
	Error      string      `json:"error,omitempty"`
	Statements []statement `json:"statements"`
	Difference string      `json:"difference,omitempty"`
	Refused    bool        `json:"refused,omitempty"`
}

func parse(text string) (query *influxql.Query, err error) {
	defer func() {
		if failed := recover(); failed != nil {
			err = fmt.Errorf("the parser panicked: %v", failed)
		}
	}()
	parser := influxql.NewParser(strings.NewReader(text))
	parser.SetParams(params)
	return parser.ParseQuery()
}

func class(s influxql.Statement) string {
	switch s := s.(type) {
	case *influxql.SelectStatement:
		if s.Target != nil {
			return "change"
		}
		return "read"
	case *influxql.ExplainStatement:
		return "read"
	case *influxql.ShowQueriesStatement, *influxql.ShowStatsStatement, *influxql.ShowDiagnosticsStatement,
		*influxql.ShowShardsStatement, *influxql.ShowShardGroupsStatement:
		return "local"
	case *influxql.ShowContinuousQueriesStatement, *influxql.ShowDatabasesStatement, *influxql.ShowFieldKeysStatement,
		*influxql.ShowFieldKeyCardinalityStatement, *influxql.ShowGrantsForUserStatement,
		*influxql.ShowMeasurementsStatement, *influxql.ShowMeasurementCardinalityStatement,
		*influxql.ShowRetentionPoliciesStatement, *influxql.ShowSeriesStatement, *influxql.ShowSeriesCardinalityStatement,
		*influxql.ShowSubscriptionsStatement, *influxql.ShowTagKeysStatement, *influxql.ShowTagKeyCardinalityStatement,
		*influxql.ShowTagValuesStatement, *influxql.ShowTagValuesCardinalityStatement, *influxql.ShowUsersStatement:
		return "read"
	case *influxql.KillQueryStatement:
		return "kill"
	case *influxql.DropShardStatement:
		return "shard"
	}
	return "change"
}

// found is what a statement names, wherever it is.
type found struct {
	// * stands for all databases, and nothing for the default one.
	databases    map[string]bool
	measurements map[string]bool
	regex        bool
}

// collect finds every measurement and every field that names a database.
func collect(v reflect.Value, found *found) {
	switch v.Kind() {
	case reflect.Ptr, reflect.Interface:
		if v.IsNil() {
			return
		}
		collect(v.Elem(), found)
	case reflect.Slice:
		for i := 0; i < v.Len(); i++ {
			collect(v.Index(i), found)
		}
	case reflect.Struct:
		switch v.Type().String() {
		case "time.Location", "regexp.Regexp":
			return
		case "influxql.Measurement":
			m := v.Interface().(influxql.Measurement)
			if m.Regex != nil {
				found.regex = true
			} else if m.Name != "" || !m.IsTarget {
				// A target without a name has those of the sources.
				found.measurements[m.Name] = true
			}
		case "influxql.DropMeasurementStatement":
			found.measurements[v.FieldByName("Name").String()] = true
		}
		for i := 0; i < v.NumField(); i++ {
			if name := v.Type().Field(i).Name; name == "Database" {
				found.databases[v.Field(i).String()] = true
			} else if name == "WildcardDatabase" && v.Field(i).Bool() {
				found.databases["*"] = true
			} else if v.Type().Field(i).PkgPath == "" {
				collect(v.Field(i), found)
			}
		}
	}
}

func describe(text string) answer {
	query, err := parse(text)
	if err != nil {
		return answer{Error: err.Error()}
	}
	result := answer{Statements: []statement{}}
	for _, s := range query.Statements {
		found := found{databases: map[string]bool{}, measurements: map[string]bool{}}
		collect(reflect.ValueOf(s), &found)
		one := statement{Kind: fmt.Sprintf("%T", s), Class: class(s), Databases: []string{}, Measurements: []string{}, Regex: found.regex}
		for name := range found.measurements {
			one.Measurements = append(one.Measurements, name)
		}
		for name := range found.databases {
			if name == "" {
				one.Default = true
			} else {
				one.Databases = append(one.Databases, name)
			}
		}
		result.Statements = append(result.Statements, one)
	}
	return result
}

// meaning renders what a SELECT reads when it runs at now, by the rules of InfluxDB's compiler: its condition, its time range
// with the hidden end, its interval and offset. outer is the end of the query around it.
func meaning(s *influxql.SelectStatement, now time.Time, outer int64, top bool) string {
	valuer := influxql.NowValuer{Now: now, Location: s.Location}
	condition, ranged, err := influxql.ConditionExpr(s.Condition, &valuer)
	if err != nil {
		// Literals that are not compatible are named by their type in Go only; the text of now is in none of them.
		return "error: " + err.Error()
	}
	interval, offset := int64(0), int64(0)
	dimensions := []string{}
	for _, d := range s.Dimensions {
		expr := influxql.Reduce(d.Expr, nil)
		call, ok := expr.(*influxql.Call)
		if !ok || call.Name != "time" {
			dimensions = append(dimensions, expr.String())
			continue
		}
		if len(call.Args) < 1 || len(call.Args) > 2 {
			return "error: arguments of time()"
		}
		every, ok := call.Args[0].(*influxql.DurationLiteral)
		if !ok {
			return "error: no interval"
		}
		interval = int64(every.Val)
		if len(call.Args) == 2 && interval != 0 {
			switch second := call.Args[1].(type) {
			case *influxql.DurationLiteral:
				offset = int64(second.Val % every.Val)
			case *influxql.Call:
				if second.Name != "now" || len(second.Args) != 0 {
					return "error: offset"
				}
				offset = int64(now.Sub(now.Truncate(every.Val)))
			default:
				return "error: offset"
			}
		}
	}
	end := ranged.MaxTimeNano()
	if top {
		if ranged.Max.IsZero() && interval != 0 {
			end = now.UnixNano()
		}
	} else {
		if end > outer {
			end = outer
		}
		if end == influxql.MaxTime && interval != 0 {
			end = now.UnixNano()
		}
	}
	text := fmt.Sprintf("%v | %v | %d..%d | %d+%d | %v", s.Fields, condition, ranged.MinTimeNano(), end, interval, offset, dimensions)
	if s.Target != nil {
		text += " | " + s.Target.String()
	}
	for _, source := range s.Sources {
		if sub, ok := source.(*influxql.SubQuery); ok {
			text += " {" + meaning(sub.Statement, now, end, false) + "}"
		} else {
			text += " " + source.String()
		}
	}
	return text
}

func compare(text, pinned string, nanoseconds int64) (result answer) {
	defer func() {
		// Go's parser divides by zero and worse when it reduces odd expressions; InfluxDB answers that with an error.
		if failed := recover(); failed != nil {
			result = answer{Error: fmt.Sprint(failed)}
		}
	}()
	before, err := parse(text)
	if err != nil {
		return answer{Error: err.Error()}
	}
	after, err := parse(pinned)
	if err != nil {
		return answer{Difference: "the pinned text does not parse: " + err.Error()}
	}
	if len(before.Statements) != len(after.Statements) {
		return answer{Difference: "another number of statements"}
	}
	then := time.Unix(0, nanoseconds).UTC()
	later := then.Add(1234567*time.Second + 17)
	for i := range before.Statements {
		var was, is string
		switch s := before.Statements[i].(type) {
		case *influxql.SelectStatement:
			t, ok := after.Statements[i].(*influxql.SelectStatement)
			if !ok {
				return answer{Difference: "another kind of statement"}
			}
			if s.Target == nil {
				was, is = s.String(), t.String()
				break
			}
			was, is = meaning(s, then, influxql.MaxTime, true), meaning(t, later, influxql.MaxTime, true)
		case *influxql.DeleteSeriesStatement:
			t, ok := after.Statements[i].(*influxql.DeleteSeriesStatement)
			if !ok {
				return answer{Difference: "another kind of statement"}
			}
			was = fmt.Sprint(s.Sources, influxql.Reduce(s.Condition, &influxql.NowValuer{Now: then}))
			is = fmt.Sprint(t.Sources, influxql.Reduce(t.Condition, &influxql.NowValuer{Now: later}))
		default:
			was, is = s.String(), after.Statements[i].String()
		}
		if was != is {
			return answer{Difference: was + "  BECAME  " + is}
		}
		result.Refused = result.Refused || strings.Contains(was, "error: ")
	}
	return result
}

func main() {
	input := bufio.NewReader(os.Stdin)
	output := bufio.NewWriter(os.Stdout)
	defer output.Flush()
	text := func() string {
		var length uint32
		if err := binary.Read(input, binary.BigEndian, &length); err != nil {
			panic(err)
		}
		body := make([]byte, length)
		if _, err := io.ReadFull(input, body); err != nil {
			panic(err)
		}
		return string(body)
	}
	encoder := json.NewEncoder(output)
	for {
		kind, err := input.ReadByte()
		if err == io.EOF {
			return
		} else if err != nil {
			panic(err)
		}
		if kind == 'q' {
			_ = encoder.Encode(describe(text()))
			continue
		}
		before, pinned := text(), text()
		nanoseconds, err := strconv.ParseInt(text(), 10, 64)
		if err != nil {
			panic(err)
		}
		_ = encoder.Encode(compare(before, pinned, nanoseconds))
	}
}
