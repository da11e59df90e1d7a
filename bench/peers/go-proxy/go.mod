module pillion/bench/go-proxy

go 1.24
