#include <fmt/format.h>

#include <algorithm>

#include "capi/handles.h"
#include "kernels/kernels.h"

namespace base = retort::base;
namespace kernels = retort::kernels;
namespace runtime = retort::runtime;

namespace {

constexpr int64_t kDefaultContext = 4096;
constexpr int32_t kMaxThreads = 1024;

base::Result<kernels::KvType> kv_type_of(int32_t type) {
  switch (type) {
    case RETORT_KV_F16:
      return kernels::KvType::kF16;
    case RETORT_KV_Q8_0:
      return kernels::KvType::kQ8_0;
    case RETORT_KV_F32:
      return kernels::KvType::kF32;
    default:
      return base::fail(fmt::format("kv_type is {}, expected RETORT_KV_F16, _Q8_0 or _F32", type));
  }
}

}  // namespace

retort_session_options retort_session_defaults(void) {
  return {sizeof(retort_session_options), 0, RETORT_KV_F16, 0};
}

retort_session* retort_session_create(retort_model* model, const retort_session_options* given) {
  return retort::capi::guarded<retort_session*>(nullptr, [&]() -> base::Result<retort_session*> {
    if (model == nullptr) return base::fail("retort_session_create: the model is NULL");
    retort_session_options options = retort::capi::with_defaults(given, retort_session_defaults());
    if (options.num_threads < 0 || options.num_threads > kMaxThreads)
      return base::fail(fmt::format("num_threads is {}, expected 0 to {}", options.num_threads, kMaxThreads));
    RETORT_TRY(kernels::KvType kv_type, kv_type_of(options.kv_type));
    int64_t context = options.context != 0 ? options.context
                                           : std::min(kDefaultContext, model->model->hyperparameters().context_length);
    auto session = std::make_unique<retort_session>();
    session->model = model->model;
    session->pool = std::make_unique<base::ThreadPool>(options.num_threads);
    session->runner = std::make_unique<runtime::Runner>(session->model->network(), *session->pool);
    RETORT_TRY(runtime::Session inner, runtime::Session::create(*session->model, *session->runner, context, kv_type));
    session->session = std::make_unique<runtime::Session>(std::move(inner));
    return session.release();
  });
}

void retort_session_free(retort_session* session) {
  delete session;
}

void retort_session_clear(retort_session* session) {
  session->session->clear();
}
