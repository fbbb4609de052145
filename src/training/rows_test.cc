#include "training/rows.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "training/records.h"

using namespace retort;
using testing::ElementsAre;
using testing::HasSubstr;
using training::Row;
using training::RowShape;

namespace {

class RowsTest : public testing::Test {
 protected:
  RowsTest() : folder_(testing::TempDir() + "rows_test") { std::filesystem::create_directories(folder_); }
  ~RowsTest() override { std::filesystem::remove_all(folder_); }

  std::string write(const std::string& name, const std::string& content) {
    std::ofstream(folder_ + "/" + name, std::ios::binary) << content;
    return folder_ + "/" + name;
  }
  /// What read_rows says of a file, the folder cut from the paths.
  std::string error(const std::string& name, const std::string& content, const training::RowOptions& options = {}) {
    auto file = training::read_rows(write(name, content), options);
    if (file) return "no error";
    std::string text = file.error().message;
    for (size_t at; (at = text.find(folder_ + "/")) != std::string::npos;) text.erase(at, folder_.size() + 1);
    return text;
  }
  std::string folder_;
};

}  // namespace

TEST_F(RowsTest, ReadsEveryShape) {
  auto labels = training::read_rows(
      write("a.jsonl", "\xef\xbb\xbf{\"text\": \"t\", \"label\": \"l\"}\r\n\n{\"text\":\"u\",\"label\":7}"));
  ASSERT_TRUE(labels) << labels.error().message;
  EXPECT_EQ(labels->shape, RowShape::kLabel);
  ASSERT_EQ(labels->rows.size(), 2u);
  EXPECT_EQ(labels->rows[0].text, "t");
  EXPECT_EQ(labels->rows[0].answer, "l");
  EXPECT_EQ(labels->rows[1].answer, "7");
  EXPECT_EQ(labels->rows[1].line, 3);

  auto fields = training::read_rows(write("b.jsonl", R"({"text": "t", "fields": {"z": "1", "a": {"b": [2]}}})"));
  ASSERT_TRUE(fields);
  EXPECT_EQ(fields->shape, RowShape::kFields);
  EXPECT_EQ(fields->rows[0].answer, R"({"z":"1","a":{"b":[2]}})");

  auto summary = training::read_rows(write("c.jsonl", R"({"text": "t", "summary": "s", "id": 3})"));
  ASSERT_TRUE(summary);
  EXPECT_EQ(summary->shape, RowShape::kSummary);
  auto completion = training::read_rows(write("d.jsonl", R"({"prompt": "", "completion": " c"})"));
  ASSERT_TRUE(completion);
  EXPECT_EQ(completion->rows[0].answer, " c");
}

TEST_F(RowsTest, ReadsChatsWithWeightsPartsAndTools) {
  auto file = training::read_rows(write("a.jsonl", R"({"messages": [
    {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
    {"role": "assistant", "content": "c", "weight": 0},
    {"role": "assistant", "content": null, "tool_calls": [{"id": "1"}], "weight": 1}], "tools": [{"type": "function"}]})"
                                        // one line
                                        ));
  EXPECT_FALSE(file);  // a row must be on one line
  auto one = training::read_rows(write(
      "b.jsonl",
      R"({"messages": [{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}, )"
      R"({"role": "assistant", "content": "c", "weight": 0}, )"
      R"({"role": "assistant", "content": null, "tool_calls": [{"id": "1"}], "weight": 1}], )"
      R"("tools": [{"type": "function"}]})"));
  ASSERT_TRUE(one) << one.error().message;
  const training::Conversation& chat = one->rows[0].chat;
  EXPECT_EQ(chat.tools, R"([{"type":"function"}])");
  ASSERT_EQ(chat.messages.size(), 3u);
  EXPECT_EQ(chat.messages[0].content, "ab");
  EXPECT_EQ(chat.messages[0].weight, 0);
  EXPECT_EQ(chat.messages[1].weight, 0);
  EXPECT_EQ(chat.messages[2].weight, 1);
  EXPECT_EQ(chat.messages[2].json, R"({"role":"assistant","content":null,"tool_calls":[{"id":"1"}]})");
}

TEST_F(RowsTest, ReportsEveryBadRow) {
  EXPECT_EQ(
      error("a.jsonl",
            "{\"text\": \"t\", \"label\": \"l\"}\n"
            "{\"text\": \"t\", \"label\": \n"
            "[1]\n"
            "{\"text\": \"t\", \"summary\": \"s\"}\n"
            "{\"text\": \"t\", \"labl\": \"l\"}\n"
            "{\"text\": 1.5, \"label\": \"l\"}\n"
            "{\"text\": \"t\", \"label\": null}\n"
            "{\"text\": \"t\", \"label\": \" \"}\n"
            "{\"text\": \"\xff\", \"label\": \"l\"}\n"),
      "a.jsonl: 8 of 9 rows cannot be used:\n"
      "  a.jsonl:2: not valid JSON at column 24: syntax error while parsing value - unexpected end of input; "
      "expected '[', '{', or a literal\n"
      "  a.jsonl:3: expected one JSON object a line, got a list\n"
      "  a.jsonl:4: the row is {\"text\", \"summary\"}, but line 1 began with {\"text\", \"label\"}: use one shape "
      "in a file\n"
      "  a.jsonl:5: expected {\"messages\"}, {\"prompt\", \"completion\"}, {\"text\", \"label\"}, {\"text\", "
      "\"fields\"} or {\"text\", \"summary\"}, got the keys {\"text\", \"labl\"}\n"
      "  a.jsonl:6: \"text\": expected a string, got a number\n"
      "  a.jsonl:7: \"label\": expected a string, got null\n"
      "  a.jsonl:8: \"label\" is empty\n"
      "  a.jsonl:9: not valid JSON at column 11: syntax error while parsing value - invalid string: ill-formed "
      "UTF-8 byte; last read: '\"\xef\xbf\xbd'");
  EXPECT_EQ(error("b.jsonl", "1\n2\n3\n", {.max_reported = 1}),
            "b.jsonl: 3 of 3 rows cannot be used:\n"
            "  b.jsonl:1: expected one JSON object a line, got an integer\n"
            "  and 2 more");
}

TEST_F(RowsTest, RefusesANumberThatIsTooLarge) {
  EXPECT_EQ(error("a.jsonl", "{\"text\": \"t\", \"label\": 1e999}\n"),
            "a.jsonl: 1 of 1 rows cannot be used:\n"
            "  a.jsonl:1: not valid JSON: number overflow parsing '1e999'");
}

TEST_F(RowsTest, RefusesDeepJson) {
  auto row = [](size_t depth) {
    return R"({"text": "[[\"[", "fields": {"x": )" + std::string(depth, '[') + std::string(depth, ']') + "}}";
  };
  EXPECT_TRUE(training::read_rows(write("a.jsonl", row(98))));  // two levels are the row's own
  for (size_t depth : {size_t{99}, size_t{3000000}})
    EXPECT_THAT(error("a.jsonl", row(depth)), HasSubstr("a.jsonl:1: JSON nested deeper than 100 levels"));
}

TEST_F(RowsTest, ReportsBadMessages) {
  auto says = [&](const std::string& messages) { return error("m.jsonl", "{\"messages\": " + messages + "}"); };
  EXPECT_THAT(says("{}"), HasSubstr("\"messages\": expected a list, got an object"));
  EXPECT_THAT(says("[]"), HasSubstr("\"messages\" is empty"));
  EXPECT_THAT(says(R"([{"role": "bot", "content": "a"}])"), HasSubstr("messages[0]: \"role\": expected system, user"));
  EXPECT_THAT(says(R"([{"role": "user"}])"), HasSubstr("messages[0]: \"content\" is missing"));
  EXPECT_THAT(says(R"([{"role": "user", "content": 3}])"), HasSubstr("\"content\": expected a string, got an integer"));
  EXPECT_THAT(says(R"([{"role": "user", "content": [{"type": "image_url"}]}])"), HasSubstr("only parts"));
  EXPECT_THAT(says(R"([{"role": "user", "content": "a"}])"), HasSubstr("there is nothing to learn"));
  EXPECT_THAT(says(R"([{"role": "assistant", "content": "a", "weight": 2}])"), HasSubstr("expected 0 or 1, got \"2\""));
  EXPECT_THAT(says(R"([{"role": "user", "content": "a", "weight": 1}])"), HasSubstr("is for assistant messages"));
}

TEST_F(RowsTest, SaysWhatIsWrongWithAFile) {
  EXPECT_THAT(error("e.jsonl", ""), HasSubstr("e.jsonl: the file has no rows: expected {\"messages\"}"));
  EXPECT_THAT(error("n.jsonl", "\n  \n"), HasSubstr("the file has no rows"));
  EXPECT_THAT(error("l.json", "[\n{\"text\": \"a\"}]"), HasSubstr("write one object a line (jq -c '.[]')"));
  EXPECT_THAT(training::read_rows(folder_ + "/none").error().message, HasSubstr("cannot open: No such file"));
  EXPECT_THAT(training::read_rows(folder_).error().message, HasSubstr("this is a folder"));
}

TEST_F(RowsTest, NeverHoldsALineThatIsTooLong) {
  std::string path = folder_ + "/long.jsonl";
  {
    std::ofstream out(path, std::ios::binary);
    std::string block(1 << 20, 'x');
    out << R"({"text": ")";
    for (int i = 0; i < 100; ++i) out << block;
    out << "\", \"label\": \"a\"}\n{\"text\": \"t\", \"label\": \"l\"}\n";
  }
  auto file = training::read_rows(path);
  ASSERT_FALSE(file);
  EXPECT_THAT(file.error().message,
              HasSubstr("long.jsonl:1: the row has 104.9 MB, at most 16.8 MB are accepted: is a line end missing?"));
  EXPECT_THAT(file.error().message, HasSubstr("1 of 2 rows cannot be used"));
  auto reader = training::RecordReader::open(path, 100).value();
  training::RecordReader::Record record;
  std::string text;
  ASSERT_TRUE(reader.next_line(record, text));
  EXPECT_TRUE(record.too_long);
  EXPECT_LT(text.capacity(), 1000u);
}

TEST_F(RowsTest, ReadsCsvAsTheRfcHasIt) {
  auto file = training::read_rows(write("a.csv",
                                        "label,text\r\n"
                                        "x,\"a \"\"quoted\"\"\r\nline, and a comma\"\r\n"
                                        "\r\n"
                                        "y,plain\n"
                                        "\"z\",last"));
  ASSERT_TRUE(file) << file.error().message;
  ASSERT_EQ(file->rows.size(), 3u);
  EXPECT_EQ(file->rows[0].text, "a \"quoted\"\r\nline, and a comma");
  EXPECT_EQ(file->rows[0].answer, "x");
  EXPECT_EQ(file->rows[1].line, 5);
  EXPECT_EQ(file->rows[2].answer, "z");

  auto fields = training::read_rows(write("f.CSV", "text,fields\na,\"{\"\"k\"\": \"\"v\"\"}\"\n"));
  ASSERT_TRUE(fields) << fields.error().message;
  EXPECT_EQ(fields->rows[0].answer, R"({"k":"v"})");
}

TEST_F(RowsTest, ReportsBadCsv) {
  EXPECT_EQ(error("a.csv",
                  "text,label\n"
                  "one\n"
                  "a \"b\" c,l\n"
                  "\"a\"b,l\n"
                  "\xff,l\n"
                  ",l\n"
                  "\"open,l\n"),
            "a.csv: 6 of 6 rows cannot be used:\n"
            "  a.csv:2: expected 2 fields as in the header, got 1\n"
            "  a.csv:3: field 1: a quote inside an unquoted field: put the field in quotes and double the quote\n"
            "  a.csv:4: field 1: text after the closing quote: expected a comma or the end of the line\n"
            "  a.csv:5: column \"text\" is not valid UTF-8: save the file as UTF-8\n"
            "  a.csv:6: \"text\" is empty\n"
            "  a.csv:7: the file ends inside a quoted field: expected a closing quote");
  EXPECT_THAT(error("h.csv", "text,lable\na,b\n"),
              HasSubstr("h.csv:1: the header has the columns \"text,lable\"; expected"));
  EXPECT_THAT(error("d.csv", "text,label,text\na,b,c\n"), HasSubstr("two columns are named \"text\""));
  EXPECT_THAT(error("e.csv", ""), HasSubstr("the file has no rows"));
  EXPECT_THAT(error("l.csv", "text,label\n" + std::string(300, 'x') + ",l\n", {.max_row_bytes = 100}),
              HasSubstr("l.csv:2: the row has 0.0 MB"));
}

TEST_F(RowsTest, ReadsColumnsOfOtherNames) {
  training::RowOptions options;
  options.columns = training::Columns::parse("text=review,label=stars").value();
  auto csv = training::read_rows(write("a.csv", "id,stars,text,review\n7,4,ignored,Fine.\n"), options);
  ASSERT_TRUE(csv) << csv.error().message;
  EXPECT_EQ(csv->shape, RowShape::kLabel);
  EXPECT_EQ(csv->rows[0].text, "Fine.");
  EXPECT_EQ(csv->rows[0].answer, "4");
  auto lines = training::read_rows(write("a.jsonl", R"({"text": 0, "review": "Bad.", "stars": 1})"), options);
  ASSERT_TRUE(lines) << lines.error().message;
  EXPECT_EQ(lines->rows[0].text, "Bad.");
  EXPECT_EQ(lines->rows[0].answer, "1");
  EXPECT_THAT(error("b.csv", "text,stars\na,b\n", options),
              HasSubstr("b.csv:1: there is no column \"review\"; the header has \"text,stars\""));
  EXPECT_THAT(error("b.jsonl", R"({"text": "a", "stars": 1})", options),
              HasSubstr("b.jsonl:1: there is no key \"review"));
  for (const char* bad :
       {"review", "text=", "=review", "txt=review", "text=a,text=b", "text=a,label=a", "text=a,,label=b"})
    EXPECT_FALSE(training::Columns::parse(bad)) << bad;
  EXPECT_TRUE(training::Columns::parse(""));
}

TEST_F(RowsTest, FindsLabelsThatTrainingDoesNotHave) {
  training::RowFile file;
  file.path = "dev.jsonl";
  file.rows = {Row{1, "a", "games", {}}, Row{2, "b", "Games", {}}, Row{3, "c", "quantum", {}}};
  EXPECT_TRUE(training::check_labels(file, {"Games", "games", "quantum"}, "train.jsonl"));
  auto status = training::check_labels(file, {"games", "mail"}, "train.jsonl");
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().message,
            "dev.jsonl: 2 of 3 rows have labels that are not among the 2 of train.jsonl:\n"
            "  dev.jsonl:2: label \"Games\" is not one of them (did you mean \"games\"?)\n"
            "  dev.jsonl:3: label \"quantum\" is not one of them");
  EXPECT_THAT(training::distinct_answers(file.rows), ElementsAre("Games", "games", "quantum"));
}
