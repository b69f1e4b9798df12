"""
What other people's programs make of our records and rules: a line of JSON in, a line of JSON out.
CEF by pycef, syslog by syslog-rfc5424-parser, OCSF's schemas by ocsf-json-schema, Sigma by pySigma with its SQLite and ClickHouse
back ends. There is no parser of LEEF in a registry; `leef` here is written from IBM's description of the format and nothing else.
"""
import json
import logging
import re
import sqlite3
import sys

logging.disable(logging.CRITICAL)


def ocsf_schemas(classes, profiles, version):
    from ocsf_json_schema import OcsfJsonSchemaEmbedded, get_ocsf_schema

    schema = OcsfJsonSchemaEmbedded(get_ocsf_schema(version))
    return {name: schema.get_class_schema(name, profiles) for name in classes}


def cef_pycef(line):
    import pycef

    return pycef.parse(line)


def cef_strict(line):
    """The format as its description has it: a header of seven fields, then pairs; character by character."""
    if "\n" in line or "\r" in line:
        raise ValueError("a line break in a record")
    at = 0
    header = []
    field = ""
    while len(header) < 7:
        char = line[at]
        at += 1
        if char == "\\":
            if line[at] not in "\\|":
                raise ValueError(f"escaped {line[at]!r} in the header")
            field += line[at]
            at += 1
        elif char == "|":
            header.append(field)
            field = ""
        else:
            field += char
    if header[0] != "CEF:0":
        raise ValueError(header[0])
    # A key begins the extension or follows a space, and is followed by an equals sign that nothing escapes.
    rest = line[at:]
    starts = [(m.start(1), m.end(1)) for m in re.finditer(r"(?:^| )([A-Za-z0-9_.]+)=", rest)]
    # `a\=b=c`: what looks like a key within a value has its equals sign escaped, so it is not found above.
    pairs = {}
    for i, (begin, end) in enumerate(starts):
        stop = starts[i + 1][0] - 1 if i + 1 < len(starts) else len(rest)
        raw = rest[end + 1 : stop]
        value = ""
        j = 0
        while j < len(raw):
            if raw[j] == "\\":
                value += {"\\": "\\", "=": "=", "n": "\n", "r": "\r"}[raw[j + 1]]
                j += 2
            elif raw[j] == "=":
                raise ValueError("an equals sign that is not escaped")
            else:
                value += raw[j]
                j += 1
        key = rest[begin:end]
        if key in pairs:
            raise ValueError(f"{key} twice")
        pairs[key] = value
    return {"header": header, "extension": pairs}


def leef(line):
    """LEEF:2.0|vendor|product|version|event id|delimiter|attributes"""
    if not line.startswith("LEEF:2.0|"):
        raise ValueError("not LEEF 2.0")
    vendor, product, version, event, delimiter, attributes = line[len("LEEF:2.0|") :].split("|", 5)
    hexadecimal = re.fullmatch(r"0?x([0-9A-Fa-f]{2,4})", delimiter)
    separator = chr(int(hexadecimal[1], 16)) if hexadecimal else delimiter
    if len(separator) != 1:
        raise ValueError("a delimiter is one character")
    pairs = {}
    for attribute in attributes.split(separator):
        key, equals, value = attribute.partition("=")
        if not equals or not re.fullmatch(r"[A-Za-z0-9_]+", key):
            raise ValueError(f"not an attribute: {attribute[:40]!r}")
        if key in pairs:
            raise ValueError(f"{key} twice")
        pairs[key] = value
    return {"header": [vendor, product, version, event], "attributes": pairs}


def syslog(message):
    from syslog_rfc5424_parser import SyslogMessage

    found = SyslogMessage.parse(message)
    return {
        "severity": int(found.severity),
        "facility": int(found.facility),
        "time": found.timestamp,
        "host": found.hostname,
        "application": found.appname,
        "process": found.procid,
        "messageId": found.msgid,
        "data": found.sd,
        "message": found.msg,
    }


def syslog_strict(message):
    """RFC 5424, section 6, character by character."""
    found = re.match(
        r"<(0|[1-9][0-9]{0,2})>1 (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{1,6}Z) ([!-~]{1,255}) ([!-~]{1,48}) ([!-~]{1,128}) ([!-~]{1,32}) ",
        message,
    )
    if found is None:
        raise ValueError(message[:120])
    at = found.end()
    data = {}
    if message[at] == "-":
        at += 1
    while message[at] == "[":
        name = re.compile(r"[!#-<>-\\^-~]{1,32}").match(message, at + 1)
        at = name.end()
        element = data[name[0]] = {}
        while message[at] == " ":
            key = re.compile(r"[!#-<>-\\^-~]{1,32}").match(message, at + 1)
            at = key.end()
            if message[at : at + 2] != '="':
                raise ValueError("a parameter without a value")
            at += 2
            value = ""
            while message[at] != '"':
                if message[at] == "\\":
                    # Only these three are escaped; before anything else it stands for itself.
                    if message[at + 1] not in '"\\]':
                        raise ValueError("a backslash that escapes nothing")
                    at += 1
                elif message[at] == "]":
                    raise ValueError("a bracket that is not escaped")
                value += message[at]
                at += 1
            at += 1
            element[key[0]] = value
        if message[at] != "]":
            raise ValueError("an element that does not end")
        at += 1
    if message[at] != " ":
        raise ValueError("no message")
    priority = int(found[1])
    return {
        "severity": priority % 8,
        "facility": priority // 8,
        "time": found[2],
        "host": found[3],
        "application": found[4],
        "process": found[5],
        "messageId": found[6],
        "data": data,
        "message": message[at + 1 :],
    }


def udm_fields():
    import os

    for path in sys.path:
        name = os.path.join(path, "sigma/pipelines/secops/udm_field_schema.json")
        if os.path.exists(name):
            with open(name) as file:
                return json.load(file)
    raise FileNotFoundError("udm_field_schema.json")


def sigma_check(rules):
    """What pySigma says is wrong with each rule file's text."""
    from sigma.collection import SigmaCollection
    from sigma.validation import SigmaValidator
    from sigma.plugins import InstalledSigmaPlugins

    found = []
    validators = InstalledSigmaPlugins.autodiscover().validators
    # These two fetch lists from the network, which tests have none of.
    chosen = [v for name, v in validators.items() if name not in ("attacktag", "d3_fendtag")]
    for text in rules:
        try:
            collection = SigmaCollection.from_yaml(text)
            errors = [str(error) for error in collection.errors]
            errors += [str(error) for rule in collection.rules for error in rule.errors]
            for rule in collection.rules:
                if hasattr(rule, "detection"):
                    for condition in rule.detection.parsed_condition:
                        condition.parsed
            issues = SigmaValidator(chosen).validate_rules(iter(collection.rules))
            found.append({"errors": errors, "issues": [f"{type(i).__name__} {i}" for i in issues], "rules": len(collection.rules)})
        except Exception as error:
            found.append({"errors": [f"{type(error).__name__}: {error}"], "issues": [], "rules": 0})
    return found


def sigma_convert(rules, backend):
    from sigma.collection import SigmaCollection

    if backend == "sqlite":
        from sigma.backends.sqlite import sqliteBackend as Backend

        maker = Backend()
    else:
        from sigma.backends.clickhouse import ClickhouseBackend as Backend

        maker = Backend()
    out = []
    for text in rules:
        try:
            out.append({"queries": [str(q) for q in maker.convert(SigmaCollection.from_yaml(text))]})
        except Exception as error:
            out.append({"error": f"{type(error).__name__}: {error}"})
    return out


def sqlite(columns, rows, queries):
    """Numbers of the rows that each query finds; a query that fails says why."""
    base = sqlite3.connect(":memory:")
    base.create_function("REGEXP", 2, lambda pattern, text: text is not None and re.search(pattern, str(text)) is not None)
    # SQLite's own lower() and LIKE fold ASCII only.
    names = ", ".join('"' + name.replace('"', '""') + '"' for name in columns)
    base.execute(f"CREATE TABLE logs (n INTEGER, {names})")
    marks = ", ".join("?" for _ in range(len(columns) + 1))
    base.executemany(f"INSERT INTO logs VALUES ({marks})", [[i, *row] for i, row in enumerate(rows)])
    out = []
    for query in queries:
        try:
            cursor = base.execute(query.replace("<TABLE_NAME>", "logs"))
            at = [d[0] for d in cursor.description].index("n")
            out.append({"rows": sorted(row[at] for row in cursor)})
        except Exception as error:
            out.append({"error": f"{type(error).__name__}: {error}"})
    return out


COMMANDS = {
    name: function
    for name, function in globals().items()
    if name in ("ocsf_schemas", "cef_pycef", "cef_strict", "leef", "syslog", "syslog_strict", "udm_fields", "sigma_check", "sigma_convert", "sqlite")
}

for request in sys.stdin:
    asked = json.loads(request)
    try:
        function = COMMANDS[asked["do"]]
        if "each" in asked:
            answer = {"results": [function(one) for one in asked["each"]]}
        else:
            answer = {"result": function(**asked["with"])}
    except Exception as error:
        answer = {"error": f"{type(error).__name__}: {error}"}
    # ASCII, so that halves of surrogate pairs, if there were any, come back as they are.
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()
