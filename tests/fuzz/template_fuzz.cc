// Any bytes as a chat template: an error with line and column, or a prompt, in bounded time and memory.
#include <cstdlib>

#include "text/chat_template.h"

using namespace retort;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  auto compiled = text::ChatTemplate::compile(std::string(reinterpret_cast<const char*>(data), size), "<bos>", "<eos>");
  if (!compiled) {
    if (compiled.error().message.find("template:") == std::string::npos) std::abort();
    return 0;
  }
  text::ChatRequest request;
  request.messages =
      R"([{"role":"system","content":"Be brief."},{"role":"user","content":"Weather \u00fc?"},)"
      R"({"role":"assistant","content":"","tool_calls":[{"id":"a12345678","type":"function",)"
      R"("function":{"name":"w","arguments":{"city":"Z","n":[1,2.5,null,true]}}}]},)"
      R"({"role":"tool","name":"w","tool_call_id":"a12345678","content":"rain"},{"role":"user","content":"Ok"}])";
  request.tools = R"([{"type":"function","function":{"name":"w","description":"d","parameters":)"
                  R"({"type":"object","properties":{"city":{"type":"string"}},"required":["city"]}}}])";
  request.now = 1753531200;
  auto prompt = compiled->render(request);
  if (!prompt && prompt.error().message.find("template:") == std::string::npos) std::abort();
  return 0;
}
