// The Go peer of bench/gateway.ts, set up as edgerun's load balancer sets it up: a reverse proxy made for each request on
// net/http's default transport and server, weighted round robin behind a lock, no time-outs, no access log.
// Usage: reverseProxy LISTEN NAME=HOST:PORT*WEIGHT,... NAME=...
package main

import (
	"log"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

type function struct {
	sync.Mutex
	schedule []string
	position int
}

func (f *function) next() string {
	f.Lock()
	defer f.Unlock()
	f.position = (f.position + 1) % len(f.schedule)
	return f.schedule[f.position]
}

func main() {
	functions := map[string]*function{}
	for _, argument := range os.Args[2:] {
		name, instances, _ := strings.Cut(argument, "=")
		functions[name] = &function{}
		for _, instance := range strings.Split(instances, ",") {
			host, weight, _ := strings.Cut(instance, "*")
			for n, _ := strconv.Atoi(weight); n > 0; n-- {
				functions[name].schedule = append(functions[name].schedule, host)
			}
		}
	}
	http.HandleFunc("/function/", func(out http.ResponseWriter, in *http.Request) {
		name, rest, _ := strings.Cut(strings.TrimPrefix(in.URL.RequestURI(), "/function/"), "/")
		called, known := functions[name]
		if !known {
			http.NotFound(out, in)
			return
		}
		host := called.next()
		now := strconv.FormatFloat(float64(time.Now().UnixNano())/1e9, 'f', 7, 64)
		for _, header := range []http.Header{in.Header, out.Header()} {
			header.Set("X-Forwarded-For", "go")
			header.Set("X-Forwarded-Host-go", now)
			header.Set("X-Final-Host", host)
		}
		in.URL, _ = url.Parse("http://" + host + "/" + rest)
		in.Host = host
		httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: host}).ServeHTTP(out, in)
	})
	log.Fatal(http.ListenAndServe(os.Args[1], nil))
}
