"""A receiver of webhooks that verifies with the official library, and answers as it is told.

Its clock is that of the process: run under libfaketime it has the time of the server that sends, so that the library's own look at
`webhook-timestamp` counts. Standard output has one line: the port for webhooks and the one for the test.

    GET /got        everything that came, in order, with what the library said of it, secret by secret
    PUT /answer     {"status": 200, "headers": {}, "body": "", "hang_up": false}: how it answers from now on
"""

import json
import os
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from standardwebhooks.webhooks import Webhook

SECRETS = [Webhook(secret) for secret in os.environ["RECEIVER_SECRETS"].split()]
lock = threading.Lock()
got = []
answer = {"status": 200}


class Quiet(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def body(self):
        return self.rfile.read(int(self.headers.get("content-length") or 0))

    def say(self, status, body, headers=None):
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        if status != 204:
            self.send_header("content-length", str(len(body)))
        self.end_headers()
        if status != 204:
            self.wfile.write(body)


class Hook(Quiet):
    def do_POST(self):
        body, headers = self.body(), dict(self.headers.items())
        said = []
        for secret in SECRETS:
            try:
                secret.verify(body, headers)
                said.append("verified")
            except Exception as error:
                said.append(repr(error))
        with lock:
            how = dict(answer)
            headers = {name.lower(): value for name, value in headers.items()}
            got.append({"path": self.path, "headers": headers, "body": body.decode(), "said": said, "status": how["status"]})
        if how.get("hang_up"):
            self.close_connection = True
            self.connection.close()
            return
        self.say(how["status"], how.get("body", "").encode(), how.get("headers"))


class Test(Quiet):
    def do_GET(self):
        with lock:
            self.say(200, json.dumps(got).encode())

    def do_PUT(self):
        global answer
        told = json.loads(self.body())
        with lock:
            answer = told
        self.say(204, b"")


def start(handler):
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_address[1]


print(start(Hook), start(Test), flush=True)
sys.stdin.read()
