"""Reads as Python programs do, in each way that is named, and prints all it was given.

Usage: read.py <psycopg|psycopg2> [<how> <sql>]...; the address is in the environment.
"""
import importlib
import sys

driver = importlib.import_module(sys.argv[1])


def read(connection, how, sql):
    if how == "binary":
        cursor = connection.cursor(binary=True)
    elif how == "server":
        cursor = connection.cursor(name="here")
    else:
        cursor = connection.cursor()
    if how == "copy" and sys.argv[1] == "psycopg":
        with cursor.copy(sql) as copy:
            for data in copy:
                print(bytes(data))
    elif how == "copy":
        cursor.copy_expert(sql, sys.stdout)
    elif how == "pipeline":
        with connection.pipeline():
            cursor.execute(sql)
            print(cursor.fetchall())
    elif how == "stream":
        for row in cursor.stream(sql):
            print(row)
    elif how == "prepared":
        print(cursor.execute(sql, prepare=True).fetchall())
        print(cursor.execute(sql, prepare=True).fetchall())
    else:
        cursor.execute(sql)
        print(cursor.fetchall())


for how, sql in zip(sys.argv[2::2], sys.argv[3::2]):
    connection = driver.connect()
    try:
        read(connection, how, sql)
    except driver.Error as error:
        print(error, getattr(error, "diag", None) and error.diag.message_detail)
    finally:
        connection.close()
