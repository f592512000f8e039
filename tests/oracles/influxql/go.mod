// InfluxQL of InfluxDB 1.12 and 1.13. The same program is built over Debian's package, without this file, for 1.6 (../build.rs).
module oracle

go 1.18

require github.com/influxdata/influxql v1.4.1

require google.golang.org/protobuf v1.33.0 // indirect
