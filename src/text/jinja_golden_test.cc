// Every feature of the template language in small templates, against what jinja2 makes of them as transformers sets it
// up (tools/make_jinja_goldens.py). A case is data: tests/golden/jinja/NAME.json.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "text/chat_template.h"

using namespace retort;
using namespace retort::text;

namespace {

std::filesystem::path folder() {
  return RETORT_SOURCE_DIR "/tests/golden/jinja";
}

nlohmann::ordered_json read(const std::string& name) {
  std::ifstream in(folder() / (name + ".json"));
  EXPECT_TRUE(in) << name;
  return nlohmann::ordered_json::parse(in);
}

base::Result<std::string> render(const std::string& source) {
  static const std::string variables = read("variables").dump();
  auto compiled = ChatTemplate::compile(source, "<s>", "</s>");
  if (!compiled) return tl::unexpected(compiled.error());
  ChatRequest request;
  request.messages = "[]";
  request.variables = variables;
  return compiled->render(request);
}

class JinjaGolden : public testing::TestWithParam<std::string> {};

TEST_P(JinjaGolden, GivesWhatJinja2Gives) {
  auto cases = read(GetParam());
  ASSERT_GE(cases.size(), 25u);
  for (const auto& entry : cases) {
    auto source = entry[0].get<std::string>();
    auto text = render(source);
    if (entry[1].is_null()) {
      EXPECT_FALSE(text) << source << "\njinja2 refuses this, we gave: " << *text;
    } else if (text) {
      EXPECT_EQ(*text, entry[1].get<std::string>()) << source;
    } else {
      ADD_FAILURE() << source << "\n" << text.error().message << "\njinja2 gives: " << entry[1];
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, JinjaGolden,
                         testing::Values("filters", "iterators", "loops", "macros", "markup", "operators", "scoping",
                                         "slicing", "strings", "tests", "whitespace"),
                         [](const auto& golden) { return golden.param; });

TEST(Jinja, ErrorsNameLineAndColumn) {
  auto cases = read("errors");
  ASSERT_GE(cases.size(), 25u);
  for (const auto& entry : cases) {
    auto source = entry[0].get<std::string>();
    auto text = render(source);
    ASSERT_FALSE(text) << source << "\ngave: " << *text;
    const std::string& message = text.error().message;
    std::string place = "template:" + entry[1].dump() + ":" + entry[2].dump() + ": ";
    EXPECT_TRUE(message.starts_with(place)) << source << "\nexpected " << place << "\ngot      " << message;
    EXPECT_NE(message.find(entry[3].get<std::string>()), std::string::npos) << source << "\n" << message;
  }
}

TEST(Jinja, WorkIsBounded) {
  for (const char* source :
       {"{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
        "{% set ns = namespace(x='x') %}{% for a in range(99) %}{% set ns.x = ns.x + ns.x %}{% endfor %}",
        "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", "{{ 'x' * 999999999 }}", "{{ [0] * 999999999 }}",
        "{{ 'x'.replace('', 'y' * 9999999) * 99 }}"}) {
    auto text = render(source);
    ASSERT_FALSE(text) << source;
    EXPECT_TRUE(text.error().message.starts_with("template:1:")) << text.error().message;
  }
  // Values within values, by hand, through methods, and ever so many of them.
  const std::string again = "{% set ns = namespace(n=[1], m=[1]) %}{% for i in range(100000) %}";
  for (const char* source :
       {"{% set ns.n = [ns.n] %}{% endfor %}", "{% set ns.n = {'a': ns.n}.get %}{% endfor %}",
        "{% set ns.n = [{'k': 1, 'v': ns.n}]|groupby('k') %}{% endfor %}", "{% set ns.n = joiner(ns.n) %}{% endfor %}",
        "{% set ns.n = [ns.n, ns.n] %}{% set ns.m = [ns.m, ns.m] %}{% endfor %}{{ ns.n == ns.m }}"}) {
    auto text = render(again + source);
    ASSERT_FALSE(text) << source;
    EXPECT_TRUE(text.error().message.starts_with("template:1:")) << text.error().message;
  }
  std::string deep(100000, '(');
  EXPECT_FALSE(render("{{ " + deep + "1"));
  EXPECT_FALSE(render("{{ " + std::string(100000, '[') + "1"));
  EXPECT_FALSE(render("{{ " + std::string(100000, '-') + "1 }}"));
}

TEST(Jinja, NamespacesMayHoldThemselves) {
  EXPECT_EQ(*render("{% set ns = namespace(n=0) %}{{ ns }}{% set ns.n = ns %}{{ ns == ns }}{{ ns.n.n == ns }}"
                    "{{ [ns] == [ns] }}{{ ns == namespace(n=0) }}"),
            "<Namespace {'n': 0}>TrueTrueTrueFalse");
  EXPECT_FALSE(render("{% set ns = namespace() %}{% set ns.n = [ns] %}{{ ns }}"));
  EXPECT_FALSE(render("{% set ns = namespace() %}{{ ns|tojson }}"));
  // A long chain ends without much stack, at once or with the rendering.
  const std::string chain =
      "{% set ns = namespace() %}{% set ns.h = namespace(n=0) %}{% set ns.t = ns.h %}{% for i in range(50000) %}"
      "{% set t = ns.t %}{% set t.n = namespace(n=0) %}{% set ns.t = t.n %}{% endfor %}";
  EXPECT_EQ(*render(chain), "");
  EXPECT_EQ(*render(chain + "{% set ns.h = 0 %}{% set ns.t = 0 %}x"), "x");
}

TEST(Jinja, WhatLoopsRememberMayHoldThem) {
  EXPECT_TRUE(
      render("{% set ns = namespace(l=0) %}{% for i in range(3) %}{{ loop.changed(loop) }}{% set ns.l = loop %}"
             "{% endfor %}{{ ns.l.changed(ns.l) }}"));
}

}  // namespace
