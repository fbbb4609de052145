#include "base/mapped_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <system_error>
#include <utility>

#include "base/huge_pages.h"

namespace retort::base {
namespace {

std::string system_message(int error) {
  return std::generic_category().message(error);
}

/// Maps the file where a huge page may begin, and asks for huge pages: where the file system keeps files in large
/// folios (ext4 since Linux 6.16, XFS, btrfs), a cold file is then read 2 MiB at a time and decoding reads half as fast
/// again as through 4 KiB pages. Elsewhere the request changes nothing.
void* map_aligned(int fd, size_t size) {
  if (size < kHugePage) return ::mmap(nullptr, size, PROT_READ, MAP_SHARED, fd, 0);
  void* reserved = ::mmap(nullptr, size + kHugePage, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (reserved == MAP_FAILED) return ::mmap(nullptr, size, PROT_READ, MAP_SHARED, fd, 0);
  auto* begin = static_cast<std::byte*>(reserved);
  size_t skip = (kHugePage - reinterpret_cast<uintptr_t>(begin) % kHugePage) % kHugePage;
  void* data = ::mmap(begin + skip, size, PROT_READ, MAP_SHARED | MAP_FIXED, fd, 0);
  if (data == MAP_FAILED) {
    int error = errno;
    ::munmap(reserved, size + kHugePage);
    errno = error;
    return data;
  }
  const auto page = static_cast<size_t>(::sysconf(_SC_PAGESIZE));
  size_t end = skip + (size + page - 1) / page * page;
  if (skip > 0) ::munmap(begin, skip);
  if (end < size + kHugePage) ::munmap(begin + end, size + kHugePage - end);
  ::madvise(data, size, MADV_HUGEPAGE);
  return data;
}

}  // namespace

Result<MappedFile> MappedFile::open(const std::string& path) {
  int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return fail(fmt::format("{}: cannot open: {}", path, system_message(errno)));
  struct stat info {};
  if (::fstat(fd, &info) != 0) {
    int error = errno;
    ::close(fd);
    return fail(fmt::format("{}: cannot stat: {}", path, system_message(error)));
  }
  if (!S_ISREG(info.st_mode)) {
    ::close(fd);
    return fail(fmt::format("{}: expected a regular file", path));
  }
  MappedFile file;
  file.path_ = path;
  file.size_ = static_cast<size_t>(info.st_size);
  if (file.size_ > 0) {
    void* data = map_aligned(fd, file.size_);
    if (data == MAP_FAILED) {
      int error = errno;
      ::close(fd);
      file.size_ = 0;
      return fail(fmt::format("{}: cannot map {} bytes: {}", path, info.st_size, system_message(error)));
    }
    file.data_ = static_cast<const std::byte*>(data);
  }
  ::close(fd);
  return file;
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)), path_(std::move(other.path_)) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  std::swap(path_, other.path_);
  return *this;
}

void MappedFile::leave_memory() const {
  if (size_ > 0) ::madvise(const_cast<std::byte*>(data_), size_, MADV_DONTNEED);
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) ::munmap(const_cast<std::byte*>(data_), size_);
}

}  // namespace retort::base
