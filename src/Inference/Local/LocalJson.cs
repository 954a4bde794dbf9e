using System.Text.Json.Serialization;

namespace Platform.Inference.Local;

[JsonSerializable(typeof(string))]
internal sealed partial class LocalJson : JsonSerializerContext;
