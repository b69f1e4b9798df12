-- One row per session, folded from its events: for Grafana and for people at a SQL prompt. There is no state beside the
-- events, so it can't disagree with them.
CREATE VIEW IF NOT EXISTS custody.sessions AS
SELECT
    session AS id,
    minIf(time, kind = 'session.opened') AS opened,
    maxIf(time, kind = 'session.closed') AS closed,
    if(countIf(kind = 'session.closed') = 0, 'open', anyIf(lifecycle.state, kind = 'session.closed')) AS state,
    any(who.subject) AS subject,
    any(who.issuer) AS issuer,
    any(path.resource) AS resource,
    any(path.protocol) AS protocol,
    any(path.clientAddress) AS client_address,
    countIf(kind = 'command.started') AS commands,
    countIf(kind = 'command.completed' AND response.status NOT IN ('ok', 'suspended')) AS failed,
    sumIf(response.rows, kind = 'command.completed') AS rows,
    count() AS events,
    max(time) AS last_event
FROM custody.events
WHERE session != toFixedString('', 16)
GROUP BY session;
