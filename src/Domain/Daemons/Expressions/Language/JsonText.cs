using System.Buffers;
using System.Runtime.InteropServices;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;

namespace Platform.Domain.Daemons.Expressions.Language;

/// <summary>Values as JSON: compact, members in their order, only what JSON demands escaped.</summary>
internal static class JsonText
{
    private static readonly JsonWriterOptions Options = new()
    {
        // The JSON goes into values and prompts, never into HTML.
        Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
        MaxDepth = ExpressionLimits.ResultDepth,
        SkipValidation = false,
    };

    private static readonly JsonElement NullElement = JsonElement.Parse("null"u8);
    private static readonly JsonElement TrueElement = JsonElement.Parse("true"u8);
    private static readonly JsonElement FalseElement = JsonElement.Parse("false"u8);

    /// <summary>Bytes of the element as it stands in its document.</summary>
    public static int RawLength(this JsonElement element) => JsonMarshal.GetRawUtf8Value(element).Length;

    public static JsonElement ToElement(in Value value, Evaluation evaluation)
    {
        if (value.TryGetElement(out var element)) { return element; }

        if (value.Kind == Kind.Null) { return NullElement; }

        if (value.Kind == Kind.Bool) { return value.Bool ? TrueElement : FalseElement; }

        var made = value;
        return JsonElement.Parse(Write(writer => Write(writer, made, evaluation)).WrittenSpan);
    }

    /// <summary>How a value reads inside a text: a string as it is, anything else as JSON.</summary>
    public static string ToText(in Value value, Evaluation evaluation, int offset) =>
        value.Kind == Kind.String ? value.Text(evaluation, offset) : ToJson(value, evaluation, offset);

    public static string ToJson(in Value value, Evaluation evaluation, int offset)
    {
        switch (value.Kind)
        {
            case Kind.Null: return "null";
            case Kind.Bool: return value.Bool ? "true" : "false";
            case Kind.Absent:
            case Kind.Number:
            case Kind.String:
            case Kind.List:
            case Kind.Map:
            default: break;
        }

        var made = value;
        var utf8 = Write(writer => Write(writer, made, evaluation)).WrittenSpan;
        var length = Encoding.UTF8.GetCharCount(utf8);
        evaluation.CheckText(length, offset);
        return Encoding.UTF8.GetString(utf8);
    }

    /// <summary>Runs what writes one JSON value, and turns the writer's own limits into errors of the expression.</summary>
    public static ArrayBufferWriter<byte> Write(Action<Utf8JsonWriter> write)
    {
        var buffer = new ArrayBufferWriter<byte>(256);
        try
        {
            using var writer = new Utf8JsonWriter(buffer, Options);
            write(writer);
            writer.Flush();
            CheckBytes(writer, 0);
            return buffer;
        }
        catch (InvalidOperationException)
        {
            // The writer refuses depth, and a JSON string that escapes half a surrogate pair, only while it writes.
            throw new ExpressionException($"The result is nested deeper than {ExpressionLimits.ResultDepth} levels, or a string in it is not valid Unicode.", 0);
        }
    }

    public static void Write(Utf8JsonWriter writer, in Value value, Evaluation evaluation)
    {
        if (value.TryGetElement(out var element))
        {
            Write(writer, element, evaluation);
            return;
        }

        evaluation.Step(0);
        switch (value.Kind)
        {
            case Kind.Bool:
                writer.WriteBooleanValue(value.Bool);
                break;
            case Kind.Number:
                writer.WriteNumberValue(value.Number(0));
                break;
            case Kind.String:
                WriteText(writer, value.PlainText, evaluation);
                break;
            case Kind.List:
                writer.WriteStartArray();
                foreach (var item in value.Items(evaluation, 0)) { Write(writer, item, evaluation); }

                writer.WriteEndArray();
                break;
            case Kind.Map:
                writer.WriteStartObject();
                foreach (var (key, member) in value.MadeMembers!)
                {
                    evaluation.StepText(key.Length, 0);
                    CheckBytes(writer, key.Length);
                    writer.WritePropertyName(key);
                    Write(writer, member, evaluation);
                }

                writer.WriteEndObject();
                break;
            case Kind.Absent:
            case Kind.Null:
            default:
                writer.WriteNullValue();
                break;
        }
    }

    public static void Write(Utf8JsonWriter writer, JsonElement element, Evaluation evaluation)
    {
        var length = element.RawLength();
        evaluation.StepText(length, 0);
        CheckBytes(writer, length);
        element.WriteTo(writer);
    }

    public static void WriteText(Utf8JsonWriter writer, string text, Evaluation evaluation)
    {
        evaluation.StepText(text.Length, 0);
        CheckBytes(writer, text.Length);
        writer.WriteStringValue(text);
    }

    private static void CheckBytes(Utf8JsonWriter writer, int more)
    {
        if (writer.BytesCommitted + writer.BytesPending + more > ExpressionLimits.ResultBytes)
        {
            throw new ExpressionException($"The result is larger than {ExpressionLimits.ResultBytes} bytes of JSON.", 0);
        }
    }
}
