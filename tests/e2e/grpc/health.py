"""A gRPC server with the health service of grpcio-health-checking.

usage: health.py        prints "ready PORT"; each line of its input is a service and its status, "my.Service NOT_SERVING"
"""

import sys
from concurrent import futures

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc


def main():
    server = grpc.server(futures.ThreadPoolExecutor(4))
    servicer = health.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(f"ready {port}", flush=True)
    for line in sys.stdin:
        service, _, status = line.rstrip("\n").rpartition(" ")
        servicer.set(service, health_pb2.HealthCheckResponse.ServingStatus.Value(status))
    server.stop(None)


if __name__ == "__main__":
    main()
