"""A stand-in for the W&B server on this machine: it takes what ``wandb sync`` 0.31 sends and keeps it."""

import gzip
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self


class _Quiet(ThreadingHTTPServer):
    def handle_error(self, *_: object) -> None:
        """W&B hangs up without a word when it has sent all."""


class WandbServer:
    """Answers the GraphQL operations and the file stream of an upload; a context.

    Attributes:
        upserts: Variables of ``UpsertBucket``: what a run is.
        history: Rows of the runs' history.
        summary: The last summary of the file stream.
        files: Path below ``/storage/`` -> content.
        artifacts: Inputs of ``CreateArtifact``.
        unknown: Operations that have no answer here.
        heard: Address, headers and body of every request.
    """

    def __init__(self) -> None:
        self.upserts: list[dict[str, Any]] = []
        self.history: list[dict[str, Any]] = []
        self.summary: dict[str, Any] = {}
        self.files: dict[str, bytes] = {}
        self.artifacts: list[dict[str, Any]] = []
        self.unknown: list[str] = []
        self.heard: list[bytes] = []
        self.ended = False
        owner = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                owner.heard.append(self.path.encode() + b"\n" + bytes(self.headers) + body)
                content = json.dumps(owner.reply(self.path, body)).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = do_PUT = answer  # noqa: N815 - the names are the standard library's

            def log_message(self, *_: object) -> None:
                """Quiet."""

        self._server = _Quiet(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def reply(self, path: str, body: bytes) -> dict[str, Any]:
        if path.startswith("/storage/"):
            self.files[path.removeprefix("/storage/")] = body
            return {}
        if path.endswith("/file_stream"):
            self._stream(json.loads(body))
            return {}
        if not path.endswith("/graphql"):
            if not path.startswith("/sdk/otel/"):  # measurements of W&B's own program
                self.unknown.append(path)
            return {}
        query = json.loads(body)
        return {"data": self._graphql(query["operationName"], query.get("variables") or {})}

    def _stream(self, sent: dict[str, Any]) -> None:
        files = sent.get("files") or {}
        for line in files.get("wandb-history.jsonl", {}).get("content", []):
            self.history.append(json.loads(line))
        for line in files.get("wandb-summary.json", {}).get("content", []):
            self.summary = json.loads(line)
        self.ended = self.ended or bool(sent.get("complete"))

    def _graphql(self, operation: str, variables: dict[str, Any]) -> dict[str, Any]:
        if operation == "UpsertBucket":
            self.upserts.append(variables)
            project = {"id": "p", "name": variables["project"], "entity": {"id": "e", "name": "someone"}}
            bucket = {"id": "b", "name": variables["name"], "displayName": variables["displayName"], "project": project}
            return {"upsertBucket": {"bucket": bucket, "inserted": True}}
        if operation == "CreateRunFiles":
            files = [
                {"name": name, "uploadUrl": f"{self.url}/storage/{name}", "uploadHeaders": []}
                for name in variables["files"]
            ]
            return {"createRunFiles": {"runID": "b", "uploadHeaders": [], "files": files}}
        if operation == "CreateArtifact":
            self.artifacts.append(variables["input"])
            # a committed one is there already, so that its files are not asked for
            artifact = {
                "id": f"a{len(self.artifacts)}",
                "state": "COMMITTED",
                "artifactSequence": {"latestArtifact": None},
            }
            return {"createArtifact": {"artifact": artifact}}
        if operation == "RunResumeStatus":
            return {"model": {"bucket": None}}  # nobody has seen this run
        if operation == "UseArtifact":
            return {"useArtifact": {"artifact": {"id": "a"}}}
        if operation == "ServerFeaturesQuery":
            return {"serverInfo": {"features": []}}
        self.unknown.append(operation)
        return {}
