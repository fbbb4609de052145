#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "capi/handles.h"
#include "kernels/kernels.h"
#include "text/model_template.h"

namespace base = retort::base;
namespace text = retort::text;
using retort::capi::guarded;
using retort::capi::new_string;

retort_model* retort_model_load(const char* path) {
  return guarded<retort_model*>(nullptr, [&]() -> base::Result<retort_model*> {
    if (path == nullptr) return base::fail("retort_model_load: the path is NULL");
    if (!retort::kernels::active_error().empty()) return base::fail(std::string(retort::kernels::active_error()));
    RETORT_TRY(auto model, retort::runtime::Model::load(path));
    return new retort_model{std::move(model)};
  });
}

void retort_model_free(retort_model* model) {
  delete model;
}

int32_t retort_vocabulary_size(const retort_model* model) {
  return static_cast<int32_t>(model->model->hyperparameters().vocabulary_size);
}

int64_t retort_context_length(const retort_model* model) {
  return model->model->hyperparameters().context_length;
}

int retort_ends_generation(const retort_model* model, int32_t token) {
  const text::Tokenizer& tokenizer = model->model->tokenizer();
  return token >= 0 && token < tokenizer.vocabulary().size() && tokenizer.ends_generation(token) ? 1 : 0;
}

int64_t retort_tokenize(const retort_model* model, const char* input, size_t text_bytes, int flags, int32_t* ids,
                        int64_t capacity) {
  return guarded<int64_t>(-1, [&]() -> base::Result<int64_t> {
    if (input == nullptr && text_bytes > 0) return base::fail("retort_tokenize: the text is NULL");
    text::EncodeOptions options;
    if ((flags & RETORT_NO_BOS) != 0) options.add_bos = false;
    options.parse_special = (flags & RETORT_NO_SPECIAL) == 0;
    std::string_view view = text_bytes > 0 ? std::string_view(input, text_bytes) : std::string_view();
    std::vector<int32_t> tokens = model->model->tokenizer().encode(view, options);
    auto count = static_cast<int64_t>(tokens.size());
    if (ids != nullptr && capacity > 0) std::copy_n(tokens.begin(), std::min(count, capacity), ids);
    return count;
  });
}

char* retort_detokenize(const retort_model* model, const int32_t* ids, int64_t num_ids) {
  return guarded<char*>(nullptr, [&]() -> base::Result<char*> {
    if (num_ids < 0 || (ids == nullptr && num_ids > 0))
      return base::fail(
          fmt::format("retort_detokenize: {} ids at {}", num_ids, ids == nullptr ? "NULL" : "an address"));
    return new_string(model->model->tokenizer().decode({ids, static_cast<size_t>(num_ids)}));
  });
}

char* retort_chat_prompt(const retort_model* model, const char* messages, const char* tools,
                         int add_generation_prompt) {
  return guarded<char*>(nullptr, [&]() -> base::Result<char*> {
    if (messages == nullptr) return base::fail("retort_chat_prompt: the messages are NULL");
    RETORT_TRY(text::ChatTemplate chat_template,
               text::load_chat_template(model->model->file(), model->model->tokenizer()));
    text::ChatRequest request;
    request.messages = messages;
    if (tools != nullptr) request.tools = tools;
    request.add_generation_prompt = add_generation_prompt != 0;
    RETORT_TRY(std::string prompt, chat_template.render(request));
    return new_string(prompt);
  });
}
