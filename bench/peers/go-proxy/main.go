// Go's own reverse proxy, one thread of execution, as a peer of the benchmark.
// Arguments: listen address, backend URL, "h2c" or "http1".
package main

import (
	"log"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"runtime"
)

func main() {
	runtime.GOMAXPROCS(1)
	backend, err := url.Parse(os.Args[2])
	if err != nil {
		log.Fatal(err)
	}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(os.Args[3] == "http1")
	protocols.SetUnencryptedHTTP2(os.Args[3] == "h2c")
	proxy := httputil.NewSingleHostReverseProxy(backend)
	proxy.Transport = &http.Transport{Protocols: protocols, MaxIdleConnsPerHost: 256}
	server := &http.Server{Addr: os.Args[1], Handler: proxy, Protocols: protocols}
	log.Fatal(server.ListenAndServe())
}
