"""Models that other programs serve: the Open Inference Protocol, over HTTP and gRPC."""
