// What InfluxDB's own parser makes of bodies: the oracle of tests/line_protocol_differential.rs.
//
// Reads requests from standard input until it ends: an int64 (the default time, Unix nanoseconds), two bytes (the precision,
// filled up with a space) and a uint32 (the body's length), numbers big-endian, then the body. Answers each with one line of
// JSON.
package main

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"sort"
	"strconv"
	"strings"
	"time"
	_ "unsafe"

	"github.com/influxdata/influxdb/models"
)

//go:linkname scanLine github.com/influxdata/influxdb/models.scanLine
func scanLine(body []byte, from int) (int, []byte)

//go:linkname parsePoint github.com/influxdata/influxdb/models.parsePoint
func parsePoint(line []byte, defaultTime time.Time, precision string) (models.Point, error)

type line struct {
	Start, End   int
	HasTimestamp bool
	IsUnsafe     bool // a point that must never be sent
	Error        string
}

type answer struct {
	Lines  []line
	Points []string // without unsafe ones
	Error  string
}

func main() {
	input := bufio.NewReader(os.Stdin)
	output := bufio.NewWriter(os.Stdout)
	defer output.Flush()
	for {
		var head struct {
			Time      int64
			Precision [2]byte
			Length    uint32
		}
		if err := binary.Read(input, binary.BigEndian, &head); err != nil {
			return
		}
		body := make([]byte, head.Length)
		if _, err := io.ReadFull(input, body); err != nil {
			panic(err)
		}
		encoded, err := json.Marshal(read(body, time.Unix(0, head.Time).UTC(), strings.TrimSpace(string(head.Precision[:]))))
		if err != nil {
			panic(err)
		}
		output.Write(encoded)
		output.WriteByte('\n')
		if input.Buffered() == 0 {
			output.Flush()
		}
	}
}

func read(body []byte, defaultTime time.Time, precision string) answer {
	result := answer{Lines: lines(append([]byte(nil), body...), precision), Points: []string{}}
	points, err := models.ParsePointsWithPrecision(body, defaultTime, precision)
	for _, line := range result.Lines {
		if line.Error != "" {
			continue
		}
		if !line.IsUnsafe {
			result.Points = append(result.Points, canonical(points[0]))
		}
		points = points[1:]
	}
	if len(points) > 0 {
		panic("more points than lines")
	}
	if err != nil {
		quoted := strconv.QuoteToASCII(err.Error())
		result.Error = quoted[1 : len(quoted)-1]
	}
	return result
}

// lines finds what is parsed by the loop of ParsePointsWithPrecision, line by line.
func lines(body []byte, precision string) []line {
	found := []line{}
	for position := 0; position < len(body); {
		start := position
		var block []byte
		position, block = scanLine(body, position)
		position++
		text := strings.TrimLeft(string(block), " \t\x00")
		if text == "" || text[0] == '#' {
			continue
		}
		start += len(block) - len(text)
		text = strings.TrimSuffix(text, "\n")
		result := judge(text, precision)
		result.Start, result.End = start, start+len(text)
		found = append(found, result)
	}
	return found
}

func judge(text, precision string) (result line) {
	hour, later := time.Unix(3600, 0).UTC(), time.Unix(7200, 0).UTC()
	point, err := parsePoint([]byte(text), hour, precision)
	if err != nil {
		result.Error = err.Error()
		return result
	}
	again, _ := parsePoint([]byte(text), later, precision)
	result.HasTimestamp = again.Time().Equal(point.Time())
	if _, err := parsePoint([]byte(text+" 5 x"), hour, precision); err == nil {
		result.IsUnsafe = true // what stands at its end is ignored
	}
	defer func() {
		if recover() != nil {
			result.IsUnsafe = true // storing it ends the process
		}
	}()
	canonical(point)
	return result
}

// canonical is all that InfluxDB would store of a point.
func canonical(point models.Point) string {
	point.Name()
	point.Tags()
	point.HasTag([]byte("time"))
	fields := []string{}
	for iterator := point.FieldIterator(); iterator.Next(); {
		var value interface{}
		var err error
		switch iterator.Type() {
		case models.Float:
			value, err = iterator.FloatValue()
		case models.Integer:
			value, err = iterator.IntegerValue()
		case models.Boolean:
			value, err = iterator.BooleanValue()
		case models.String:
			value = strconv.QuoteToASCII(iterator.StringValue())
		}
		if err != nil {
			value = "no value"
		}
		fields = append(fields, fmt.Sprintf("%+q=%v:%v", iterator.FieldKey(), iterator.Type(), value))
	}
	sort.Strings(fields)
	return fmt.Sprintf("%+q %s %d", point.Key(), strings.Join(fields, ","), point.UnixNano())
}
