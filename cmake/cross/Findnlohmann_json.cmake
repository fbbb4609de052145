# nlohmann::json for a cross build: headers only (Findfmt.cmake).
find_package(fmt REQUIRED)
if(NOT TARGET nlohmann_json::nlohmann_json)
  add_library(nlohmann_json::nlohmann_json INTERFACE IMPORTED GLOBAL)
  target_link_libraries(nlohmann_json::nlohmann_json INTERFACE fmt::fmt)
endif()
set(nlohmann_json_FOUND TRUE)
