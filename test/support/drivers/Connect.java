/**
 * Connects as a Java program does, asks one question, and prints what pgjdbc told it: one finding a line, a word, a tab and
 * text. Usage: java -cp postgresql.jar Connect.java <url> <sql> <name=value>..., the settings as the driver has them.
 */
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.SQLWarning;
import java.util.Properties;

public class Connect {
  static void tell(String word, String text) {
    System.out.println(word + "\t" + String.valueOf(text).replace("\n", "\\n"));
    System.out.flush();
  }

  public static void main(String[] words) {
    Properties settings = new Properties();
    for (int i = 2; i < words.length; i++) {
      int at = words[i].indexOf('=');
      settings.setProperty(words[i].substring(0, at), words[i].substring(at + 1));
    }
    try (Connection connection = DriverManager.getConnection(words[0], settings)) {
      for (SQLWarning one = connection.getWarnings(); one != null; one = one.getNextWarning())
        tell("notice", one.getMessage());
      ResultSet rows = connection.createStatement().executeQuery(words[1]);
      rows.next();
      tell("value", rows.getString(1));
    } catch (SQLException error) {
      tell("error", error.getMessage());
      tell("sqlstate", error.getSQLState());
      System.exit(1);
    }
  }
}
