/** Values that no rule names, and detectors know. */
import { DETECTED } from '../../values'
import { bothProtocols, freshWays, type MysqlWay, text, ways } from './ways'

const { card, email } = DETECTED

export const DETECTED_WAYS: readonly MysqlWay[] = [
  ...bothProtocols('what detectors know', [
    'select body from texts',
    'select bytes from texts',
    'select wide from texts',
    'select * from texts',
    'select j from documents',
    'select json_extract(j, "$.text") from documents',
    'select json_extract(j, "$.list[1]") from documents',
    'select concat("<", body, ">") from texts',
    'select upper(body), body from texts where id < 3',
    'select group_concat(body separator "\\n") from texts',
    'select body as b from texts union select 1',
    'select substring(body, 5) from texts',
    'select max(body), min(body) from texts',
    'select json_object("v", body) from texts',
    'select json_arrayagg(body) from texts',
    'select cast(body as binary) from texts',
    'select quote(body) from texts',
    'select (select body from texts where id = 3)',
    'select t.body from texts t join texts u on u.id = t.id',
  ]),
  ...ways('what detectors know, elsewhere', {
    'in a variable': text('set @v = (select body from texts where id = 1)', 'select @v'),
    'in an error': text(
      "select extractvalue('<a/>', concat('~', (select body from texts where id = 3)))",
    ),
    'in a warning': text('select cast(body as signed) from texts', 'show warnings'),
    'by a procedure': text("prepare p from 'select body from texts'", 'execute p'),
    'by handler': text(
      'handler texts open',
      'handler texts read first',
      'handler texts read next',
      'handler texts read next',
    ),
    'in latin1': text('set names latin1', 'select body from texts'),
    'in utf16': text('set character_set_results = utf16', 'select body from texts'),
    'as the name of a column': text(`select 1 as "write to ${email.value}"`),
    'as the name of a column, for a card': text(`select 1 as "${card.value}"`),
  }),
  ...freshWays('what detectors know, copied', {
    'create table as': text('create table t as select body from texts', 'select * from t'),
    'insert select': text(
      'insert into copies (body) select body from texts',
      'select body from copies',
    ),
  }),
]
