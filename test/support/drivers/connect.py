"""Connects as a Python program does, asks one question, and prints what its driver told it: one finding a line, a word, a tab
and text. Adds no handler and no setting of its own, so that what is shown is what anybody sees.

Usage: connect.py <psycopg|psycopg2> <sql> <name=value>..., the connection's settings as the driver has them.
"""
import importlib
import sys

driver = importlib.import_module(sys.argv[1])
sql = sys.argv[2]
settings = dict(setting.split("=", 1) for setting in sys.argv[3:])


def tell(word, text):
    print(word, str(text).replace("\n", "\\n"), sep="\t", flush=True)


try:
    connection = driver.connect(**settings)
except driver.Error as error:
    tell("error", error)
    tell("sqlstate", getattr(error, "sqlstate", getattr(error, "pgcode", None)))
    sys.exit(1)
for notice in getattr(connection, "notices", []):
    tell("notice", notice)
with connection.cursor() as cursor:
    cursor.execute(sql)
    tell("value", cursor.fetchone()[0])
connection.close()
