"""The gRPC binding (A2A 1.0, section 10). Nothing here loads grpcio or protobuf before the first call; the
server itself is started in `app.grpc`.
"""
