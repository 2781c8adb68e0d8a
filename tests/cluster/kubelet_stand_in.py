"""The stand-in answers `GET /pods` by TLS as a kubelet, with the pods that the API server has."""

import json
import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self

from overbook_sandbox.cluster.control_plane import ControlPlane
from tests.cluster.as_user import UserClient


class KubeletStandIn:
    """A stand-in for the kubelet of one node.

    Args:
        cluster: knows the pods, and signs the certificate as the cluster's authority does for kubelets.
        node_name: whose pods.

    Attributes:
        server: its URL.
        asked: how often it answered.
    """

    def __init__(self, cluster: ControlPlane, node_name: str) -> None:
        admin = UserClient(cluster.kubeconfig)
        stand_in = self
        self.asked = 0

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                token = self.headers.get("Authorization", "")
                if self.path != "/pods" or not token.startswith("Bearer ey"):
                    self.send_error(401)
                    return
                pods = admin.ask("GET", "/api/v1/pods", fieldSelector=f"spec.nodeName={node_name}")
                body = json.dumps({"kind": "PodList", "apiVersion": "v1", "items": pods["items"]}).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)
                stand_in.asked += 1

            def log_message(self, *_: object) -> None:
                return

        files = cluster.pki.issue_server(f"kubelet-{node_name}", ["localhost"], ["127.0.0.1"])
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*files)
        self._listening = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._listening.socket = context.wrap_socket(self._listening.socket, server_side=True)
        self.server = f"https://127.0.0.1:{self._listening.server_port}"
        self._thread = threading.Thread(target=self._listening.serve_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listening.shutdown()
        self._listening.server_close()
        self._thread.join()
