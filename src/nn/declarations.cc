#include "nn/declarations.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <unordered_map>
#include <utility>

namespace retort::nn {

void Declarations::matrix(tensor::Tensor& destination, std::string name, int64_t rows, int64_t cols) {
  all_.push_back({std::move(name), rows, cols, true, &destination});
}

void Declarations::linear(graph::LinearWeights& destination, std::string name, int64_t rows, int64_t cols) {
  all_.push_back({std::move(name), rows, cols, true, &destination.matrix, &destination.additions});
}

void Declarations::vector(tensor::Tensor& destination, std::string name, int64_t size) {
  all_.push_back({std::move(name), 1, size, true, &destination});
}

void Declarations::optional_matrix(tensor::Tensor& destination, std::string name, int64_t rows, int64_t cols) {
  all_.push_back({std::move(name), rows, cols, false, &destination});
}

void Declarations::optional_vector(tensor::Tensor& destination, std::string name, int64_t size) {
  all_.push_back({std::move(name), 1, size, false, &destination});
}

base::Status bind(const Declarations& declarations, const std::vector<Offer>& offers, const std::string& where,
                  const std::string& why) {
  constexpr int kShown = 8;
  std::vector<std::string> faults;
  std::unordered_map<std::string, const Offer*> unclaimed;
  for (const Offer& offer : offers) unclaimed.emplace(offer.name, &offer);

  for (const Declaration& wanted : declarations.all()) {
    auto found = unclaimed.find(wanted.name);
    if (found == unclaimed.end()) {
      if (wanted.required) faults.push_back(fmt::format("tensor {} is missing", wanted.name));
      continue;
    }
    const Offer& offer = *found->second;
    int64_t rows = 1;
    for (size_t i = 1; i < offer.dims.size(); ++i) rows *= offer.dims[i];
    int64_t cols = offer.dims.empty() ? 1 : offer.dims[0];
    if (rows != wanted.rows || cols != wanted.cols) {
      faults.push_back(
          fmt::format("tensor {} is ({}, {}), expected ({}, {})", wanted.name, rows, cols, wanted.rows, wanted.cols));
    } else if (wanted.rows == 1 && offer.dims.size() == 1 && offer.dtype != tensor::DType::kF32) {
      faults.push_back(fmt::format("tensor {} is {}, expected F32", wanted.name, tensor::info(offer.dtype).name));
    } else {
      *wanted.destination = {offer.dtype, rows, cols, offer.data};
    }
    unclaimed.erase(found);
  }
  for (const Offer& offer : offers)
    if (unclaimed.count(offer.name) != 0)
      faults.push_back(fmt::format("tensor {} is not part of this architecture", offer.name));

  if (faults.empty()) return {};
  size_t hidden = faults.size() > kShown ? faults.size() - kShown : 0;
  faults.resize(faults.size() - hidden);
  std::string message = fmt::format("{}: {}", where, fmt::join(faults, "; "));
  if (hidden > 0) message += fmt::format("; and {} more", hidden);
  return base::fail(message + fmt::format(" ({})", why));
}

}  // namespace retort::nn
