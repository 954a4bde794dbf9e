using System.Buffers;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace Platform.Hosting.Http;

/// <summary>JSON on one line, as UTF-8; the media type says that it is no HTML, so only JSON's own escapes are needed.</summary>
internal static class HttpJson
{
    private static readonly JsonWriterOptions Options = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    public static ReadOnlyMemory<byte> Bytes(JsonNode value)
    {
        var buffer = new ArrayBufferWriter<byte>(1_024);
        using (var writer = new Utf8JsonWriter(buffer, Options)) { value.WriteTo(writer); }
        return buffer.WrittenMemory;
    }

    public static string Text(JsonNode value) => Encoding.UTF8.GetString(Bytes(value).Span);
}
