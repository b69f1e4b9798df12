"""Reads as Python programs do, in each way that is named, and prints all it was given.

Usage: read_mysql.py [<how> <sql>]...; the address is in the environment.
"""
import json
import os
import sys
import warnings

import pymysql
import pymysql.cursors

address = json.loads(os.environ["MYSQL_ADDRESS"])
CURSORS = {
    "plain": pymysql.cursors.Cursor,
    "dictionary": pymysql.cursors.DictCursor,
    "stream": pymysql.cursors.SSCursor,
}
warnings.simplefilter("ignore")

for how, sql in zip(sys.argv[1::2], sys.argv[2::2]):
    connection = pymysql.connect(
        host=address["host"],
        port=address["port"],
        user=address["user"],
        password=address["password"],
        database=address["database"],
        program_name=address["program_name"],
        cursorclass=CURSORS.get(how, pymysql.cursors.Cursor),
        autocommit=True,
    )
    try:
        with connection.cursor() as cursor:
            if how == "many":
                cursor.executemany(sql, [(1,), (2,)])
            else:
                cursor.execute(sql)
            print(cursor.description)
            for row in cursor.fetchall():
                print(row)
    except pymysql.Error as error:
        print(error)
    finally:
        connection.close()
