// EventFile: curves as TensorBoard reads them. Records are framed as TFRecord does (length and content, each followed
// by a masked CRC-32C); their content is the scalar part of TensorFlow's Event message. Formats:
// tensorflow/core/lib/io/record_writer.h, tensorflow/core/util/event.proto (https://github.com/tensorflow).
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <utility>

namespace retort::training {

/// The first record of every file: names the format's version.
std::string event_file_header(double wall_time);

/// One record with the scalars of a step. `wall_time` is in seconds since 1970.
std::string event_record(int64_t step, double wall_time, std::span<const std::pair<std::string, double>> scalars);

}  // namespace retort::training
