// Chat templates of public models against what jinja2 renders as transformers sets it up
// (tools/make_template_goldens.py). A case is data: tests/golden/templates/{NAME.jinja, NAME.expected.json,
// conversations.json}. $RETORT_TEST_TEMPLATES names another such folder.
#include <gtest/gtest.h>

#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/test_files.h"

#include "text/chat_template.h"

using namespace retort;
using namespace retort::text;
using retort::test::read_file;

namespace {

std::string folder() {
  const char* other = std::getenv("RETORT_TEST_TEMPLATES");
  return other != nullptr ? other : RETORT_SOURCE_DIR "/tests/golden/templates";
}

std::vector<std::string> names() {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(folder()))
    if (entry.path().extension() == ".jinja") names.push_back(entry.path().stem().string());
  std::sort(names.begin(), names.end());
  return names;
}

/// Noon of 26 July 2025, local time: the goldens' now.
std::time_t now() {
  std::tm time{};
  time.tm_year = 125;
  time.tm_mon = 6;
  time.tm_mday = 26;
  time.tm_hour = 12;
  time.tm_isdst = -1;
  return std::mktime(&time);
}

class ChatTemplateGolden : public testing::TestWithParam<std::string> {};

TEST_P(ChatTemplateGolden, RendersWhatJinja2Renders) {
  std::string stem = folder() + "/" + GetParam();
  auto compiled = ChatTemplate::compile(read_file(stem + ".jinja"), "<s>", "</s>");
  ASSERT_TRUE(compiled) << compiled.error().message;
  auto expected = nlohmann::json::parse(read_file(stem + ".expected.json"));
  auto conversations = nlohmann::ordered_json::parse(read_file(folder() + "/conversations.json"));
  int rendered = 0;
  for (const auto& [name, conversation] : conversations.items()) {
    ChatRequest request;
    request.messages = conversation["messages"].dump();
    if (conversation.contains("tools")) request.tools = conversation["tools"].dump();
    if (conversation.contains("variables")) request.variables = conversation["variables"].dump();
    request.add_generation_prompt = conversation.value("add_generation_prompt", true);
    request.now = now();
    auto prompt = compiled->render(request);
    ASSERT_TRUE(expected.contains(name)) << name << ": make the goldens anew";
    if (expected[name].is_null()) {
      EXPECT_FALSE(prompt) << name << ": the reference refuses this\n" << *prompt;
      if (!prompt) {
        EXPECT_NE(prompt.error().message.find("template:"), std::string::npos) << prompt.error().message;
      }
      continue;
    }
    EXPECT_TRUE(prompt) << name << ": " << prompt.error().message;
    if (prompt) {
      EXPECT_EQ(*prompt, expected[name].get<std::string>()) << name;
    }
    ++rendered;
  }
  EXPECT_GE(rendered, 3);
}

std::string test_name(const testing::TestParamInfo<std::string>& golden) {
  std::string name = golden.param;
  for (char& c : name)
    if (std::isalnum(static_cast<unsigned char>(c)) == 0) c = '_';
  return name;
}

INSTANTIATE_TEST_SUITE_P(Public, ChatTemplateGolden, testing::ValuesIn(names()), test_name);

}  // namespace
