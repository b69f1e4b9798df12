-- Substrings of statements are found by an inverted index of their 4-grams: what a search costs depends on what it finds, not
-- on how much there is (docs/decisions/0004-warehouse-keys.md). What is there already is indexed behind the scenes.
ALTER TABLE custody.events ADD INDEX IF NOT EXISTS by_words lowerUTF8(statement.text) TYPE text(tokenizer = ngrams(4));
ALTER TABLE custody.events DROP INDEX IF EXISTS by_text;
ALTER TABLE custody.events MATERIALIZE INDEX by_words;
