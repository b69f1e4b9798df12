// Connects as a Go program does, asks one question with a parameter, and prints what go-sql-driver told it: one finding a line,
// a word, a tab and text. Usage: connect <data source name> <sql>
package main

import (
	"database/sql"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/go-sql-driver/mysql"
)

func tell(word string, text string) {
	fmt.Printf("%s\t%s\n", word, strings.ReplaceAll(text, "\n", "\\n"))
}

func main() {
	db, err := sql.Open("mysql", os.Args[1])
	if err == nil {
		defer db.Close()
		var value string
		// With a parameter the driver prepares the statement.
		err = db.QueryRow(os.Args[2], 42).Scan(&value)
		if err == nil {
			tell("value", value)
			return
		}
	}
	tell("error", err.Error())
	var told *mysql.MySQLError
	if errors.As(err, &told) {
		tell("sqlstate", string(told.SQLState[:]))
	}
	os.Exit(1)
}
