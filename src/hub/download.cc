#include "hub/download.h"

#include <curl/curl.h>
#include <fmt/format.h>
#include <openssl/evp.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <memory>
#include <span>
#include <thread>
#include <vector>

#include "base/huge_pages.h"
#include "base/mapped_file.h"

namespace retort::hub {
namespace {

namespace fs = std::filesystem;

struct FileCloser {
  void operator()(std::FILE* file) const { std::fclose(file); }
};
using File = std::unique_ptr<std::FILE, FileCloser>;

std::string lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text;
}

/// One request: its state while libcurl calls back.
struct Transfer {
  const DownloadOptions& options;
  std::string partial;
  File file;
  uint64_t offset = 0;    // bytes there before
  uint64_t received = 0;  // in this request
  uint64_t total = 0;     // of the whole file, when the server says
  long status = 0;        // of the response whose headers are being read
  std::string tag;        // ETag or Last-Modified of the response
  std::string problem;    // why we stopped the transfer ourselves

  bool begin_body() {
    // Only now is it known whether the server goes on (206) or starts over (200).
    if (status == 200) offset = 0;
    file.reset(std::fopen(partial.c_str(), offset > 0 ? "ab" : "wb"));
    if (file == nullptr) {
      problem = fmt::format("{}: cannot write", partial);
      return false;
    }
    std::setvbuf(file.get(), nullptr, _IOFBF, base::kHugePage);  // see base/atomic_file.cc
    std::ofstream(partial + ".tag", std::ios::trunc) << tag;
    if (options.expected_bytes > 0 && total > 0 && total != options.expected_bytes) {
      problem = fmt::format("the server offers {} bytes, expected {}: not the file that is wanted", total,
                            options.expected_bytes);
      return false;
    }
    std::error_code ignored;
    fs::space_info space = fs::space(fs::path(partial).parent_path(), ignored);
    if (!ignored && total > offset && space.available < total - offset) {
      problem = fmt::format("{} needs {} MiB more, the disk has {} MiB left", partial, (total - offset) >> 20,
                            space.available >> 20);
      return false;
    }
    return true;
  }
};

size_t on_header(char* data, size_t size, size_t count, void* user) {
  auto& transfer = *static_cast<Transfer*>(user);
  std::string line(data, size * count);
  while (!line.empty() && (line.back() == '\r' || line.back() == '\n')) line.pop_back();
  if (line.starts_with("HTTP/")) {
    size_t space = line.find(' ');
    transfer.status = space == std::string::npos ? 0 : std::strtol(line.c_str() + space, nullptr, 10);
    transfer.total = 0;
    transfer.tag.clear();
    return size * count;
  }
  size_t colon = line.find(':');
  if (colon == std::string::npos) return size * count;
  std::string name = lower(line.substr(0, colon));
  size_t begin = line.find_first_not_of(' ', colon + 1);
  std::string value = begin == std::string::npos ? "" : line.substr(begin);
  if (name == "content-length" && transfer.status == 200) transfer.total = std::strtoull(value.c_str(), nullptr, 10);
  if (name == "content-range") {
    size_t slash = value.find('/');
    if (slash != std::string::npos) transfer.total = std::strtoull(value.c_str() + slash + 1, nullptr, 10);
    uint64_t start = 0;
    if (std::sscanf(value.c_str(), "bytes %lu-", &start) != 1 || start != transfer.offset)
      transfer.problem = fmt::format("the server goes on at the wrong byte: {}", value);
  }
  if (name == "etag" && !value.starts_with("W/")) transfer.tag = value;
  if (name == "last-modified" && transfer.tag.empty()) transfer.tag = value;
  return transfer.problem.empty() ? size * count : 0;
}

size_t on_body(char* data, size_t size, size_t count, void* user) {
  auto& transfer = *static_cast<Transfer*>(user);
  if (transfer.status != 200 && transfer.status != 206) return size * count;  // an error page: not the file
  if (transfer.file == nullptr && !transfer.begin_body()) return 0;
  size_t bytes = size * count;
  uint64_t limit = std::max(transfer.options.expected_bytes, transfer.total);
  if (limit > 0 && transfer.offset + transfer.received + bytes > limit) {
    transfer.problem = fmt::format("the server sends more than the {} bytes it should", limit);
    return 0;
  }
  if (std::fwrite(data, 1, bytes, transfer.file.get()) != bytes) {
    transfer.problem = fmt::format("{}: cannot write: is the disk full?", transfer.partial);
    return 0;
  }
  transfer.received += bytes;
  if (transfer.options.on_progress) transfer.options.on_progress(transfer.offset + transfer.received, transfer.total);
  return bytes;
}

int on_poll(void* user, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
  const auto& options = static_cast<Transfer*>(user)->options;
  return options.cancelled != nullptr && options.cancelled->load() ? 1 : 0;
}

uint64_t size_of(const std::string& path) {
  std::error_code error;
  uint64_t size = fs::file_size(path, error);
  return error ? 0 : size;
}

std::string first_line(const std::string& path) {
  std::string line;
  std::ifstream file(path);
  std::getline(file, line);
  return line;
}

void discard(const std::string& partial) {
  std::error_code ignored;
  fs::remove(partial, ignored);
  fs::remove(partial + ".tag", ignored);
}

struct Outcome {
  bool done = false, retry = false;
  std::string message;
};

Outcome attempt(const std::string& url, const std::string& partial, const DownloadOptions& options) {
  Transfer transfer{options, partial, nullptr, size_of(partial), 0, 0, 0, {}, {}};
  std::string tag = first_line(partial + ".tag");
  if (tag.empty()) transfer.offset = 0;  // nothing to tell whether the rest would fit what is there
  uint64_t wanted = options.expected_bytes;
  if (wanted > 0 && transfer.offset == wanted) return {true, false, {}};
  if (wanted > 0 && transfer.offset > wanted) transfer.offset = 0;

  std::unique_ptr<CURL, decltype(&curl_easy_cleanup)> curl(curl_easy_init(), curl_easy_cleanup);
  if (curl == nullptr) return {false, false, "cannot start libcurl"};
  curl_slist* list = nullptr;
  if (transfer.offset > 0) list = curl_slist_append(list, ("If-Range: " + tag).c_str());
  std::unique_ptr<curl_slist, decltype(&curl_slist_free_all)> headers(list, curl_slist_free_all);
  auto set = [&](CURLoption option, auto value) { curl_easy_setopt(curl.get(), option, value); };
  char error[CURL_ERROR_SIZE] = "";
  set(CURLOPT_URL, url.c_str());
  set(CURLOPT_ERRORBUFFER, error);
  set(CURLOPT_USERAGENT, "retort");
  set(CURLOPT_NOSIGNAL, 1L);
  set(CURLOPT_FOLLOWLOCATION, 1L);
  set(CURLOPT_MAXREDIRS, 8L);
  bool encrypted = url.starts_with("https:");  // then it stays so across redirects
#if LIBCURL_VERSION_NUM >= 0x075500
  set(CURLOPT_PROTOCOLS_STR, "http,https");
  set(CURLOPT_REDIR_PROTOCOLS_STR, encrypted ? "https" : "http,https");
#else
  set(CURLOPT_PROTOCOLS, static_cast<long>(CURLPROTO_HTTP | CURLPROTO_HTTPS));
  set(CURLOPT_REDIR_PROTOCOLS, static_cast<long>(encrypted ? CURLPROTO_HTTPS : CURLPROTO_HTTP | CURLPROTO_HTTPS));
#endif
  set(CURLOPT_CONNECTTIMEOUT, static_cast<long>(options.connect_timeout_s));
  set(CURLOPT_LOW_SPEED_LIMIT, 1L);
  set(CURLOPT_LOW_SPEED_TIME, static_cast<long>(options.stall_timeout_s));
  set(CURLOPT_HEADERFUNCTION, on_header);
  set(CURLOPT_HEADERDATA, &transfer);
  set(CURLOPT_WRITEFUNCTION, on_body);
  set(CURLOPT_WRITEDATA, &transfer);
  set(CURLOPT_NOPROGRESS, 0L);
  set(CURLOPT_XFERINFOFUNCTION, on_poll);
  set(CURLOPT_XFERINFODATA, &transfer);
  if (headers != nullptr) set(CURLOPT_HTTPHEADER, headers.get());
  std::string range = fmt::format("{}-", transfer.offset);
  if (transfer.offset > 0) set(CURLOPT_RANGE, range.c_str());
  if (!options.bearer_token.empty()) {  // libcurl does not send it to other hosts after a redirect
    set(CURLOPT_HTTPAUTH, static_cast<long>(CURLAUTH_BEARER));
    set(CURLOPT_XOAUTH2_BEARER, options.bearer_token.c_str());
  }
  CURLcode code = curl_easy_perform(curl.get());
  transfer.file.reset();
  uint64_t there = size_of(partial);

  if (options.cancelled != nullptr && options.cancelled->load()) return {false, false, kCancelledMessage};
  if (!transfer.problem.empty()) {
    bool ours = transfer.problem.find("disk") != std::string::npos ||
                transfer.problem.find("cannot write") != std::string::npos;
    if (!ours) discard(partial);
    return {false, false, transfer.problem};
  }
  long status = transfer.status;
  if (code == CURLE_OK && status == 416) {  // nothing left to send: either complete or another file
    if (wanted == 0 || there != wanted) discard(partial);
    return {wanted > 0 && there == wanted, true, "the server refuses to go on; starting over"};
  }
  if (code == CURLE_OK && status != 200 && status != 206)
    return {false, status == 429 || status >= 500, fmt::format("the server answers {}", status)};
  if (code == CURLE_OK && transfer.file == nullptr && transfer.received == 0 && there == 0)
    return {false, true, "the server sent nothing"};
  uint64_t full = wanted > 0 ? wanted : transfer.total;
  if (code == CURLE_OK && (full == 0 || there == full)) return {true, false, {}};
  if (code == CURLE_OK) return {false, true, fmt::format("the connection closed after {} of {} bytes", there, full)};
  bool hopeless = code == CURLE_UNSUPPORTED_PROTOCOL || code == CURLE_URL_MALFORMAT ||
                  code == CURLE_TOO_MANY_REDIRECTS || code == CURLE_COULDNT_RESOLVE_HOST ||
                  code == CURLE_COULDNT_RESOLVE_PROXY || code == CURLE_COULDNT_CONNECT ||
                  code == CURLE_PEER_FAILED_VERIFICATION || code == CURLE_SSL_CONNECT_ERROR;
  return {false, !hopeless, error[0] != '\0' ? error : curl_easy_strerror(code)};
}

}  // namespace

base::Status download(const std::string& url, const std::string& path, const DownloadOptions& options) {
  static const CURLcode initialised = curl_global_init(CURL_GLOBAL_DEFAULT);
  if (initialised != CURLE_OK) return base::fail("cannot start libcurl");
  std::string partial = path + ".partial";
  int delay = options.retry_delay_ms;
  for (int tries = 1;; ++tries) {
    uint64_t before = size_of(partial);
    Outcome outcome = attempt(url, partial, options);
    if (outcome.done) return {};
    if (!outcome.retry || tries >= options.max_attempts) return base::fail(fmt::format("{}: {}", url, outcome.message));
    if (size_of(partial) > before)
      tries = 0;  // it gets somewhere: connections that drop now and then are no reason to give up
    for (int waited = 0; waited < delay; waited += 20) {
      if (options.cancelled != nullptr && options.cancelled->load())
        return base::fail(fmt::format("{}: {}", url, kCancelledMessage));
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
    delay = std::min(delay * 2, 8000);
  }
}

base::Result<std::string> sha256_of(const std::string& path, const OnProgress& on_progress) {
  // Through the mapping that models are read by: the first to read a cold file decides in what pages it is cached.
  RETORT_TRY(base::MappedFile file, base::MappedFile::open(path));
  std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(), EVP_MD_CTX_free);
  EVP_DigestInit_ex(context.get(), EVP_sha256(), nullptr);
  std::span<const std::byte> bytes = file.bytes();
  for (size_t done = 0; done < bytes.size();) {
    std::span<const std::byte> piece = bytes.subspan(done, std::min(bytes.size() - done, base::kHugePage));
    EVP_DigestUpdate(context.get(), piece.data(), piece.size());
    done += piece.size();
    if (on_progress) on_progress(done, bytes.size());
  }
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned length = 0;
  EVP_DigestFinal_ex(context.get(), digest, &length);
  std::string hex;
  for (unsigned i = 0; i < length; ++i) hex += fmt::format("{:02x}", digest[i]);
  return hex;
}

}  // namespace retort::hub
