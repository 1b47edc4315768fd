"""Receives webhooks and does the work of each once: the id of a delivery, which is the same for all attempts, is a row in the same transaction as the
work. Needs nothing but Python.

    python3 inbox.py 127.0.0.1:9000 rows.db
"""
import sqlite3
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer

host, port = sys.argv[1].rsplit(":", 1)
db = sqlite3.connect(sys.argv[2])
db.execute("PRAGMA journal_mode = WAL")
db.execute("CREATE TABLE IF NOT EXISTS inbox (id TEXT PRIMARY KEY)")
db.execute("CREATE TABLE IF NOT EXISTS orders (data TEXT)")


class Inbox(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        data = self.rfile.read(int(self.headers["content-length"])).decode()
        with db:  # one transaction: both rows, or none
            new = db.execute("INSERT OR IGNORE INTO inbox VALUES (?)", (self.headers["webhook-id"],))
            if new.rowcount:
                db.execute("INSERT INTO orders VALUES (?)", (data,))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *args):
        pass


HTTPServer((host, int(port)), Inbox).serve_forever()
