"""Connects as a Python program does, asks one question with a parameter, and prints what its driver told it: one finding a
line, a word, a tab and text.

Usage: connect_mysql.py <pymysql|mysql.connector> <sql> <tls|plain> <name=value>..., the connection's settings as the driver
has them.
"""
import importlib
import sys

name, sql, tls = sys.argv[1:4]
driver = importlib.import_module(name)
settings = dict(setting.split("=", 1) for setting in sys.argv[4:])
settings["port"] = int(settings["port"])
if name == "pymysql":
    if tls == "tls":
        settings["ssl"] = {"check_hostname": False, "verify_mode": "none"}
else:
    settings["ssl_disabled"] = tls != "tls"


def tell(word, text):
    print(word, str(text).replace("\n", "\\n"), sep="\t", flush=True)


try:
    connection = driver.connect(**settings)
    cursor = connection.cursor()
    cursor.execute(sql.replace("?", "%s"), (42,))
    tell("value", cursor.fetchone()[0])
    connection.close()
except driver.Error as error:
    tell("error", error)
    sys.exit(1)
