"""HTTP/2 by prior knowledge, so gRPC: terminated, held stream by stream, forwarded over connections of our own."""
