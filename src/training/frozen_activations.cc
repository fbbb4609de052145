#include "training/frozen_activations.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <utility>

namespace retort::training {
namespace {

/// pread or pwrite until all is done.
template <class Call, class Byte>
base::Status transfer(Call call, int fd, Byte* data, int64_t bytes, int64_t at, const std::string& folder) {
  while (bytes > 0) {
    ssize_t done = call(fd, data, static_cast<size_t>(bytes), at);
    if (done < 0 && errno == EINTR) continue;
    if (done <= 0)
      return base::fail(fmt::format("{}: the file of the frozen layers' activations: {}", folder,
                                    done < 0 ? std::strerror(errno) : "it is cut short"));
    data += done;
    bytes -= done;
    at += done;
  }
  return {};
}

}  // namespace

FrozenActivations::FrozenActivations(const Dataset& dataset, const models::LanguageModel& model, int64_t layers)
    : dataset_(dataset), model_(model), layers_(layers), dim_(model.hyperparameters().model_dim) {}

FrozenActivations::FrozenActivations(FrozenActivations&& other) noexcept
    : dataset_(other.dataset_),
      model_(other.model_),
      layers_(other.layers_),
      dim_(other.dim_),
      num_shared_(other.num_shared_),
      first_rows_(std::move(other.first_rows_)),
      has_shared_(other.has_shared_),
      folder_(std::move(other.folder_)),
      fd_(std::exchange(other.fd_, -1)) {}

FrozenActivations::~FrozenActivations() {
  if (fd_ >= 0) ::close(fd_);
}

int64_t FrozenActivations::file_bytes(const Dataset& dataset, int64_t model_dim) {
  return count_rows(pick(dataset, all_of(dataset)), true) * model_dim * 4;
}

base::Result<FrozenActivations> FrozenActivations::create(const std::string& folder, const Dataset& dataset,
                                                          const models::LanguageModel& model, int64_t layers) {
  FrozenActivations result(dataset, model, layers);
  result.folder_ = folder;
  result.num_shared_ = shared_length(pick(dataset, all_of(dataset)));
  int64_t row = result.num_shared_;
  for (const Example& example : dataset.examples) {
    result.first_rows_.push_back(row);
    row += std::max<int64_t>(0, useful_length(example) - result.num_shared_);
  }
  std::string name = folder + "/activations.XXXXXX";
  result.fd_ = ::mkostemp(name.data(), O_CLOEXEC);
  int error = result.fd_ < 0 ? errno : 0;
  if (error == 0) {
    ::unlink(name.c_str());
    int64_t bytes = file_bytes(dataset, result.dim_);
    if (bytes > 0) error = ::posix_fallocate(result.fd_, 0, bytes);
    if (error == EOPNOTSUPP || error == EINVAL) error = ::ftruncate(result.fd_, bytes) == 0 ? 0 : errno;
  }
  if (error != 0)
    return base::fail(
        fmt::format("{}: no room for the frozen layers' activations ({:.1f} MB): {}; make room, or run "
                    "with --cache-activations off, which computes them in every epoch",
                    folder, static_cast<double>(file_bytes(dataset, result.dim_)) / 1e6, std::strerror(error)));
  return result;
}

template <class F>
base::Status FrozenActivations::for_stretches(int64_t example, int64_t begin, int64_t end, const F& function) const {
  int64_t middle = std::clamp(num_shared_, begin, end);
  if (begin < middle) RETORT_TRY_STATUS(function(begin, begin, middle - begin));
  if (middle < end)
    RETORT_TRY_STATUS(function(first_rows_[static_cast<size_t>(example)] + middle - num_shared_, middle, end - middle));
  return {};
}

base::Status FrozenActivations::compute(graph::Workspace& workspace, graph::Rounding rounding,
                                        std::span<const int64_t> examples) {
  PassBatch pass(pick(dataset_, examples), true);
  if (pass.tokens.empty()) return {};
  graph::Graph graph(workspace);
  graph.set_rounding(rounding);
  graph.stop_after_blocks(layers_);
  model_.hidden(graph, pass.batch());
  const graph::Var& out = graph.last_block();
  auto write = [&](int64_t segment, int64_t example, int64_t begin, int64_t end) {
    const graph::Segment& rows = pass.segments[static_cast<size_t>(segment)];
    return for_stretches(example, begin, end, [&](int64_t file_row, int64_t token, int64_t count) -> base::Status {
      if (token < num_shared_ && std::exchange(has_shared_, true)) return {};
      const float* from = out.row(rows.first_row + token - rows.first_position);
      return transfer(::pwrite, fd_, reinterpret_cast<const std::byte*>(from), count * dim_ * 4, file_row * dim_ * 4,
                      folder_);
    });
  };
  for (size_t i = pass.num_shared > 0 ? 1 : 0; i < pass.segments.size(); ++i) {
    const graph::Segment& own = pass.segments[i];
    int64_t example = examples[pass.sources[i]];
    if (pass.num_shared > 0) RETORT_TRY_STATUS(write(0, example, 0, pass.num_shared));
    RETORT_TRY_STATUS(write(static_cast<int64_t>(i), example, own.first_position, own.first_position + own.num_rows));
  }
  return {};
}

base::Status FrozenActivations::begin(graph::Graph& graph, const PassBatch& pass,
                                      std::span<const int64_t> examples) const {
  graph::Var rows = graph.create(static_cast<int64_t>(pass.tokens.size()), dim_);
  for (size_t i = 0; i < pass.segments.size(); ++i) {
    const graph::Segment& segment = pass.segments[i];
    RETORT_TRY_STATUS(
        for_stretches(examples[pass.sources[i]], segment.first_position, segment.first_position + segment.num_rows,
                      [&](int64_t file_row, int64_t token, int64_t count) {
                        int64_t row = segment.first_row + token - segment.first_position;
                        return transfer(::pread, fd_, reinterpret_cast<std::byte*>(rows.mutable_data() + row * dim_),
                                        count * dim_ * 4, file_row * dim_ * 4, folder_);
                      }));
  }
  graph.skip_blocks(layers_, std::move(rows));
  return {};
}

}  // namespace retort::training
