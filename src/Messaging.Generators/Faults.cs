using Microsoft.CodeAnalysis;

namespace Platform.Messaging.Generators;

/// <summary>Each is explained in docs/diagnostics.md.</summary>
internal static class Faults
{
    private static DiagnosticDescriptor Error(string id, string title, string message) =>
        new(id, title, message, "Messaging", DiagnosticSeverity.Error, isEnabledByDefault: true);

    public static readonly DiagnosticDescriptor NoHandle = Error("PLT001", "A handler has no usable Handle", "'{0}' needs exactly one public static Handle method whose first parameter is the command {1}");
    public static readonly DiagnosticDescriptor Impure = Error("PLT002", "Handle takes something that is not a value", "Handle of '{0}' is pure and cannot take '{1}': ask for it in LoadAsync and take what LoadAsync returns");
    public static readonly DiagnosticDescriptor WrongResult = Error("PLT003", "Handle returns something else than Events and OutgoingMessages", "Handle of '{0}' returns '{1}': it may return Events (with a state), OutgoingMessages, (Events, OutgoingMessages) or nothing");
    public static readonly DiagnosticDescriptor NoCreate = Error("PLT004", "A state has no Create", "State '{0}' needs a public static {0} Create(TEvent)");
    public static readonly DiagnosticDescriptor NoStreamId = Error("PLT005", "A command does not name its stream", "'{0}' needs one property of type {1}, or [property: StreamId] on one of several");
    public static readonly DiagnosticDescriptor NoJson = Error("PLT006", "A type is in no JsonSerializerContext", "Add [JsonSerializable(typeof({0}))] to {1}");
    public static readonly DiagnosticDescriptor TwoHandlers = Error("PLT007", "Two handlers for one command", "'{0}' is handled by '{1}' too");
    public static readonly DiagnosticDescriptor TwoAliases = Error("PLT008", "Two types with one alias", "The alias '{0}' is used by '{1}' too: say another with [Alias]");
    public static readonly DiagnosticDescriptor WrongValidate = Error("PLT009", "Wrong signature of Validate or Load", "In '{0}': {1}");
    public static readonly DiagnosticDescriptor WrongUpcaster = Error("PLT010", "Wrong signature of an upcaster", "'{0}' must be a static method JsonElement {1}(JsonElement) that this assembly can call");
    public static readonly DiagnosticDescriptor NoOrder = Error("PLT011", "OrderedBy names no property", "'{0}' has no property '{1}'");

    public static DiagnosticDescriptor Of(string id) => id switch
    {
        "PLT001" => NoHandle,
        "PLT002" => Impure,
        "PLT003" => WrongResult,
        "PLT004" => NoCreate,
        "PLT005" => NoStreamId,
        "PLT006" => NoJson,
        "PLT007" => TwoHandlers,
        "PLT008" => TwoAliases,
        "PLT009" => WrongValidate,
        "PLT010" => WrongUpcaster,
        _ => NoOrder,
    };
}
