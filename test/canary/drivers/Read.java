/**
 * Reads as Java programs do, in each way that is named, and prints all it was given.
 * Usage: java -cp postgresql.jar Read.java <url> <user> <password> [<how> <sql>]...
 */
import java.io.StringWriter;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import org.postgresql.PGConnection;

public class Read {
  static void show(ResultSet rows) throws SQLException {
    int columns = rows.getMetaData().getColumnCount();
    while (rows.next()) for (int i = 1; i <= columns; i++) System.out.println(rows.getString(i));
  }

  static void read(Connection connection, String how, String sql) throws Exception {
    if (how.equals("copy")) {
      StringWriter out = new StringWriter();
      connection.unwrap(PGConnection.class).getCopyAPI().copyOut(sql, out);
      System.out.println(out);
    } else if (how.equals("fetch")) {
      connection.setAutoCommit(false);
      Statement statement = connection.createStatement();
      statement.setFetchSize(1);
      show(statement.executeQuery(sql));
    } else {
      // From the fifth time on as a prepared statement of the server, with binary results.
      PreparedStatement statement = connection.prepareStatement(sql);
      for (int i = 0; i < 7; i++) show(statement.executeQuery());
    }
  }

  public static void main(String[] words) throws Exception {
    for (int i = 3; i + 1 < words.length; i += 2) {
      try (Connection connection = DriverManager.getConnection(words[0], words[1], words[2])) {
        read(connection, words[i], words[i + 1]);
      } catch (SQLException error) {
        System.out.println(error.getMessage());
      }
    }
  }
}
