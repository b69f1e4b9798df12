"""A client of PostgreSQL 18's own library (libpq) that signs in by OAUTHBEARER with a token that it is given.

Usage: libpq-oauth.py <libpq.so> <conninfo> <sql>, the token on standard input. Prints the first value of the answer, and on
standard error what the library was told about where tokens come from. Exits 1 with the library's own words where it fails.
"""
import ctypes
import sys

path, conninfo, sql = sys.argv[1:4]
# The library keeps a pointer to it only.
token = sys.stdin.read().strip().encode()
libpq = ctypes.CDLL(path)
for name in ("PQconnectdb", "PQexec"):
    getattr(libpq, name).restype = ctypes.c_void_p
for name in ("PQerrorMessage", "PQgetvalue"):
    getattr(libpq, name).restype = ctypes.c_char_p


class BearerRequest(ctypes.Structure):
    _fields_ = [
        ("openid_configuration", ctypes.c_char_p),
        ("scope", ctypes.c_char_p),
        ("call_async", ctypes.c_void_p),
        ("cleanup", ctypes.c_void_p),
        ("token", ctypes.c_char_p),
        ("user", ctypes.c_void_p),
    ]


BEARER_TOKEN = 1


def hook(kind, connection, data):
    if kind != BEARER_TOKEN:
        return 0
    request = ctypes.cast(data, ctypes.POINTER(BearerRequest)).contents
    print("discovery", (request.openid_configuration or b"").decode(), file=sys.stderr)
    print("scope", (request.scope or b"").decode(), file=sys.stderr)
    request.token = token
    return 1


hook_pointer = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)(hook)
libpq.PQsetAuthDataHook(hook_pointer)
connection = ctypes.c_void_p(libpq.PQconnectdb(conninfo.encode()))
if libpq.PQstatus(connection) != 0:
    sys.exit(libpq.PQerrorMessage(connection).decode())
result = ctypes.c_void_p(libpq.PQexec(connection, sql.encode()))
value = libpq.PQgetvalue(result, 0, 0)
if value is None:
    sys.exit(libpq.PQerrorMessage(connection).decode())
print(value.decode())
