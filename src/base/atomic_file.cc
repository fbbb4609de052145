#include "base/atomic_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <filesystem>
#include <system_error>
#include <utility>

#include "base/huge_pages.h"

namespace retort::base {
namespace {

// Bytes written at a time: file systems with large folios then keep the file in the cache in huge pages, and MappedFile
// finds them.
constexpr size_t kChunk = kHugePage;

tl::unexpected<Error> system_error(const std::string& path, const char* action, int error) {
  return fail(fmt::format("{}: cannot {}: {}", path, action, std::generic_category().message(error)));
}

}  // namespace

AtomicFile::AtomicFile(int fd, std::string path, std::string temporary)
    : fd_(fd), path_(std::move(path)), temporary_(std::move(temporary)) {}

AtomicFile::AtomicFile(AtomicFile&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)),
      size_(other.size_),
      path_(std::move(other.path_)),
      temporary_(std::exchange(other.temporary_, {})),
      pending_(std::move(other.pending_)) {}

AtomicFile::~AtomicFile() {
  if (fd_ >= 0) ::close(fd_);
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
}

Result<AtomicFile> AtomicFile::create(const std::string& path) {
  static std::atomic<uint64_t> counter{0};
  std::string temporary = fmt::format("{}.{}-{}.partial", path, ::getpid(), counter++);
  int fd = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  if (fd < 0) return system_error(path, "create", errno);
  return AtomicFile(fd, path, std::move(temporary));
}

Status AtomicFile::write(std::span<const std::byte> bytes) {
  size_ += bytes.size();
  while (pending_.size() + bytes.size() >= kChunk) {
    auto fits = static_cast<std::ptrdiff_t>(kChunk - pending_.size());
    pending_.insert(pending_.end(), bytes.begin(), bytes.begin() + fits);
    bytes = bytes.subspan(static_cast<size_t>(fits));
    RETORT_TRY_STATUS(flush());
  }
  pending_.insert(pending_.end(), bytes.begin(), bytes.end());
  return {};
}

Status AtomicFile::flush() {
  std::span<const std::byte> bytes = pending_;
  while (!bytes.empty()) {
    ssize_t n = ::write(fd_, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return system_error(path_, "write", errno);
    bytes = bytes.subspan(static_cast<size_t>(n));
  }
  pending_.clear();
  return {};
}

Status AtomicFile::write(const std::string& text) {
  return write(std::as_bytes(std::span(text)));
}

Status AtomicFile::commit() {
  RETORT_TRY_STATUS(flush());
  if (::fsync(fd_) != 0) return system_error(path_, "flush", errno);
  if (::close(std::exchange(fd_, -1)) != 0) return system_error(path_, "close", errno);
  if (::rename(temporary_.c_str(), path_.c_str()) != 0) return system_error(path_, "rename into place", errno);
  temporary_.clear();
  // The rename itself is durable once the folder is: otherwise a power cut could bring the old file back.
  std::string folder = std::filesystem::path(path_).parent_path().string();
  int fd = ::open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd >= 0) {
    ::fsync(fd);
    ::close(fd);
  }
  return {};
}

}  // namespace retort::base
