// Runs a fuzz target without a fuzzer: every seed, then COUNT mutations of them, always the same ones.
// Usage: PROGRAM COUNT HEAD SEED ...   (files or folders; mutations stay within the first HEAD bytes, 0: anywhere)
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "base/random.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace {

using Bytes = std::vector<uint8_t>;
namespace fs = std::filesystem;

void add_seed(const fs::path& path, std::vector<Bytes>& seeds) {
  if (fs::is_directory(path)) {
    std::vector<fs::path> files;
    for (const auto& entry : fs::directory_iterator(path))
      if (entry.is_regular_file()) files.push_back(entry.path());
    std::sort(files.begin(), files.end());
    for (const fs::path& file : files) add_seed(file, seeds);
  } else if (fs::exists(path)) {
    std::ifstream in(path, std::ios::binary);
    seeds.emplace_back(std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>());
  }
}

/// One of: bits flipped, a byte or a 32- or 64-bit number replaced by a telling one, a piece removed, repeated, taken
/// from another seed, or the end cut off.
void mutate(Bytes& bytes, const std::vector<Bytes>& seeds, size_t head, retort::base::Random& random) {
  static const uint64_t kTelling[] = {0,
                                      1,
                                      2,
                                      0x7f,
                                      0x80,
                                      0xff,
                                      0x7fff,
                                      0xffff,
                                      0x7fffffff,
                                      0x80000000,
                                      0xffffffff,
                                      uint64_t{1} << 32,
                                      ~0ull,
                                      ~0ull >> 1,
                                      ~0ull << 4,
                                      12,
                                      uint64_t{1} << 60};
  size_t range = head > 0 && head < bytes.size() ? head : bytes.size();
  if (range == 0) {
    bytes.push_back(static_cast<uint8_t>(random.below(256)));
    return;
  }
  size_t at = random.below(range);
  auto begin = bytes.begin() + static_cast<std::ptrdiff_t>(at);
  size_t length = std::min<size_t>(1 + random.below(32), bytes.size() - at);
  auto end = begin + static_cast<std::ptrdiff_t>(length);
  switch (random.below(8)) {
    case 0:
      *begin = static_cast<uint8_t>(*begin ^ (1u << random.below(8)));
      break;
    case 1:
      *begin = static_cast<uint8_t>(random.below(256));
      break;
    case 2:
    case 3: {
      uint64_t value = kTelling[random.below(std::size(kTelling))];
      size_t width = size_t{1} << random.below(4);
      for (size_t i = 0; i < width && at + i < bytes.size(); ++i)
        bytes[at + i] = static_cast<uint8_t>(value >> (8 * i));
      break;
    }
    case 4:
      bytes.erase(begin, end);
      break;
    case 5: {
      Bytes piece(begin, end);
      bytes.insert(begin, piece.begin(), piece.end());
      break;
    }
    case 6: {
      const Bytes& other = seeds[random.below(seeds.size())];
      if (other.empty()) break;
      size_t from = random.below(std::min(other.size(), head > 0 ? head : other.size()));
      size_t count = std::min<size_t>(length, other.size() - from);
      bytes.insert(begin, other.begin() + static_cast<std::ptrdiff_t>(from),
                   other.begin() + static_cast<std::ptrdiff_t>(from + count));
      break;
    }
    default:
      if (random.below(8) == 0) bytes.resize(at);
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 4) {
    std::fprintf(stderr, "usage: %s COUNT HEAD SEED ...\n", argv[0]);
    return 2;
  }
  long count = std::strtol(argv[1], nullptr, 10);
  size_t head = std::strtoul(argv[2], nullptr, 10);
  std::vector<Bytes> seeds;
  for (int i = 3; i < argc; ++i) add_seed(argv[i], seeds);
  if (seeds.empty()) {
    std::fprintf(stderr, "no seeds\n");
    return 2;
  }
  for (const Bytes& seed : seeds) LLVMFuzzerTestOneInput(seed.data(), seed.size());
  retort::base::Random random(20250726);
  double slowest = 0;
  for (long i = 0; i < count; ++i) {
    Bytes bytes = seeds[random.below(seeds.size())];
    for (uint64_t times = 1 + random.below(4); times > 0; --times) mutate(bytes, seeds, head, random);
    auto start = std::chrono::steady_clock::now();
    LLVMFuzzerTestOneInput(bytes.data(), bytes.size());
    double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    if (seconds > slowest) slowest = seconds;
    if (seconds > 20) {
      std::fprintf(stderr, "mutation %ld took %.1f s\n", i, seconds);
      return 1;
    }
  }
  std::printf("%zu seeds, %ld mutations, the slowest %.3f s\n", seeds.size(), count, slowest);
  return 0;
}
