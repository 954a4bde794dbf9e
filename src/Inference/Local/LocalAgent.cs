using System.Buffers;
using System.Runtime.InteropServices;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using Platform.Domain.Inference;

namespace Platform.Inference.Local;

/// <summary>
/// Answers from the text it is given, without a model, a network or a clock: the same request gives the same answer. What it does is
/// decided by the output schema alone. It reads neither the instructions nor anything in the data as an order, so there is nothing in
/// the data that could make it do something else. The annotations are in docs/local-agent.md.
/// </summary>
public sealed class LocalAgent : IAgentModel
{
    /// <summary>Bytes of UTF-8 that count as one token: near enough for European languages, and never a bill.</summary>
    public const int BytesPerToken = 4;

    private static readonly JsonWriterOptions WriterOptions = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    public bool Serves(string model) => model is "local" or "local/extractive";

    public Task<AgentAnswer> Answer(AgentRequest request, CancellationToken cancellation) => Task.Run(() => Extract(request, cancellation), cancellation);

    private static AgentAnswer Extract(AgentRequest request, CancellationToken cancellation)
    {
        if (request.Parts.Count == 0) { throw new AgentException("provider_error", "The local agent is extractive: it answers from data, and the stage hands it none. Give the stage an input."); }

        var notes = new List<string>();
        var extraction = new Extraction(request, notes, cancellation);
        var buffer = new ArrayBufferWriter<byte>();
        using (var writer = new Utf8JsonWriter(buffer, WriterOptions)) { extraction.Write(writer); }

        var value = JsonElement.Parse(buffer.WrittenSpan);
        var input = Encoding.UTF8.GetByteCount(request.Instructions) + Encoding.UTF8.GetByteCount(request.System ?? "")
            + request.Parts.Sum(part => part.Value.ValueKind == JsonValueKind.Undefined ? 0L : JsonMarshal.GetRawUtf8Value(part.Value).Length);
        return new AgentAnswer(value, Tokens(input), Tokens(buffer.WrittenCount), request.Model, string.Join("; ", notes.Prepend("extractive")));
    }

    private static long Tokens(long bytes) => (bytes + BytesPerToken - 1) / BytesPerToken;
}
