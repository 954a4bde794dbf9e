using System.Collections.Immutable;
using System.Text;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp;
using Microsoft.CodeAnalysis.CSharp.Syntax;

namespace Platform.Messaging.Generators;

/// <summary>Finds handlers, states and events, and writes the assembly's handler table: dispatch without reflection.</summary>
[Generator]
public sealed class HandlerGenerator : IIncrementalGenerator
{
    public void Initialize(IncrementalGeneratorInitializationContext context)
    {
        var handlers = context.SyntaxProvider.CreateSyntaxProvider(
                static (node, _) => node is ClassDeclarationSyntax { Identifier.ValueText: var name } type
                    && name.Length > "Handler".Length && name.EndsWith("Handler", StringComparison.Ordinal) && type.Modifiers.Any(SyntaxKind.StaticKeyword),
                static (syntax, cancel) => syntax.SemanticModel.GetDeclaredSymbol(syntax.Node, cancel) is INamedTypeSymbol type ? Reading.Handler(type, syntax.SemanticModel.Compilation) : null)
            .Where(static model => model is not null).Collect();

        var states = context.SyntaxProvider.ForAttributeWithMetadataName(
                "Platform.Messaging.StreamAttribute`1",
                static (_, _) => true,
                static (syntax, _) => Reading.State((INamedTypeSymbol)syntax.TargetSymbol, syntax.SemanticModel.Compilation.Assembly))
            .Where(static model => model is not null).Collect();

        var contexts = context.SyntaxProvider.ForAttributeWithMetadataName(
            "System.Text.Json.Serialization.JsonSerializableAttribute",
            static (_, _) => true,
            static (syntax, _) => Reading.Context((INamedTypeSymbol)syntax.TargetSymbol).ToItems()).Collect();

        var upcasters = context.SyntaxProvider.ForAttributeWithMetadataName(
            "Platform.Messaging.UpcastAttribute",
            static (_, _) => true,
            static (syntax, _) => Reading.Upcaster((IMethodSymbol)syntax.TargetSymbol, syntax.Attributes[0])).Collect();

        var assembly = context.CompilationProvider.Select(static (compilation, _) => compilation.AssemblyName ?? "Unnamed");

        context.RegisterSourceOutput(
            handlers.Combine(states).Combine(contexts).Combine(upcasters).Combine(assembly),
            static (output, found) => Write(
                output,
                [.. found.Left.Left.Left.Left.OfType<HandlerModel>()],
                [.. found.Left.Left.Left.Right.OfType<StateModel>()],
                [.. found.Left.Left.Right.SelectMany(c => c)],
                found.Left.Right,
                found.Right));
    }

    private static void Write(
        SourceProductionContext output,
        ImmutableArray<HandlerModel> handlers,
        ImmutableArray<StateModel> states,
        ImmutableArray<ContextModel> contexts,
        ImmutableArray<UpcasterModel> upcasters,
        string assembly)
    {
        var faults = new List<Fault>();
        faults.AddRange(handlers.SelectMany(h => h.Faults));
        faults.AddRange(states.SelectMany(s => s.Faults));
        faults.AddRange(upcasters.SelectMany(u => u.Faults));

        var whole = handlers.Where(h => h.Command is not null && h.Faults.Count == 0).OrderBy(h => h.Command!.Full, StringComparer.Ordinal).ToList();
        foreach (var two in whole.GroupBy(h => h.Command!.Full).Where(g => g.Count() > 1))
        {
            faults.AddRange(two.Skip(1).Select(h => new Fault("PLT007", h.Place, h.Command!.Simple, two.First().Handler)));
        }

        whole = [.. whole.GroupBy(h => h.Command!.Full).Select(g => g.First())];
        var events = states.Where(s => s.Local).SelectMany(s => s.Creates.Concat(s.Applies)).GroupBy(e => e.Full).Select(g => g.First()).OrderBy(e => e.Full, StringComparer.Ordinal).ToArray();
        Twice(events, faults);
        Twice([.. whole.Select(h => h.Command!)], faults);

        var json = contexts.GroupBy(c => c.Type).ToDictionary(g => g.Key, g => g.First().Name);
        var near = contexts.Select(c => c.Name.Replace("global::", "")).FirstOrDefault() ?? "a partial JsonSerializerContext of this assembly";
        string? Json(TypeName type)
        {
            if (json.TryGetValue(type.Full, out var name)) { return $"static () => ({JsonTypeInfo}<{type.Full}>){name}.Default.GetTypeInfo(typeof({type.Full}))!"; }
            var missing = new Fault("PLT006", type.Place, type.Simple, near);
            if (!faults.Contains(missing)) { faults.Add(missing); }
            return null;
        }

        var folds = states.Concat(whole.Where(h => h.State is not null).Select(h => h.State!)).GroupBy(s => s.Type.Full).Select(g => g.First()).OrderBy(s => s.Type.Full, StringComparer.Ordinal).ToArray();
        var eventLines = events.Select(e => (e, Json(e))).Where(e => e.Item2 is not null).Select(e =>
            $"            new global::Platform.Messaging.EventType({Reading.Literal(e.e.Alias)}, {e.e.Version}, typeof({e.e.Full}), {e.Item2}),").ToArray();
        var messageLines = whole.Select(h => (h, Json(h.Command!))).Where(h => h.Item2 is not null).Select(h => Message(h.h, h.Item2!)).ToArray();

        foreach (var fault in faults)
        {
            output.ReportDiagnostic(Diagnostic.Create(Faults.Of(fault.Id), fault.Place?.ToLocation(), fault.First, fault.Second));
        }

        if (faults.Count > 0 || (whole.Count == 0 && states.Length == 0)) { return; }

        var text = new StringBuilder();
        text.Append($$"""
            // <auto-generated/>
            #nullable enable
            namespace {{assembly}};

            /// <summary>Handlers and events of this assembly, found at compile time.</summary>
            [global::System.CodeDom.Compiler.GeneratedCode("Platform.Messaging.Generators", "1")]
            public static partial class Handlers
            {
                /// <summary>Everything that a host needs to know of this assembly.</summary>
                public static global::Platform.Messaging.HandlerTable Table { get; } = new(
                    [
            {{string.Join("\n", messageLines)}}
                    ],
                    [
            {{string.Join("\n", eventLines)}}
                    ],
                    [
            {{string.Join("\n", upcasters.Select(u => $"            new global::Platform.Messaging.Upcaster({Reading.Literal(u.Alias)}, {u.FromVersion}, {u.Method}),"))}}
                    ]);
            }

            /// <summary>How the streams of this assembly become states.</summary>
            [global::System.CodeDom.Compiler.GeneratedCode("Platform.Messaging.Generators", "1")]
            public static partial class Folds
            {
            {{string.Join("\n", folds.Select(s => Fold(s, folds)))}}
            }

            """);
        output.AddSource("Handlers.g.cs", text.ToString());
    }

    private const string JsonTypeInfo = "global::System.Text.Json.Serialization.Metadata.JsonTypeInfo";

    private static void Twice(IReadOnlyList<TypeName> types, List<Fault> faults)
    {
        foreach (var two in types.GroupBy(t => t.Alias).Where(g => g.Count() > 1))
        {
            faults.AddRange(two.Skip(1).Select(t => new Fault("PLT008", t.Place, t.Alias, two.First().Simple)));
        }
    }

    private static string FoldName(StateModel state) => state.Type.Simple;

    private static string Fold(StateModel state, IReadOnlyList<StateModel> all)
    {
        var name = FoldName(state);
        var text = new StringBuilder();
        text.Append($"    /// <summary>The fold of {name}.</summary>\n");
        text.Append($"    public static global::Platform.Messaging.StateFold<{state.Type.Full}> {name} {{ get; }} = new({Reading.Literal(state.StreamType)}, static (state, fact) => (state, fact) switch\n    {{\n");
        foreach (var created in state.Creates) { text.Append($"        (null, {created.Full} e) => {state.Type.Full}.Create(e),\n"); }
        foreach (var applied in state.Applies) { text.Append($"        ({{ }} s, {applied.Full} e) => s.Apply(e),\n"); }
        text.Append("        _ => state,\n    });\n");
        return text.ToString();
    }

    private static string Message(HandlerModel handler, string json)
    {
        var command = handler.Command!;
        var body = handler.Handle;
        var made = handler.State is { } state
            ? $"new global::Platform.Messaging.StreamHandler<{command.Full}, {state.Type.Full}>(Folds.{FoldName(state)}, {handler.StreamId}, {(handler.Required ? "true" : "false")}, "
              + $"{(handler.Validate is null ? "null" : $"static (c, s, x, p) => {handler.Validate}")}, "
              + $"{(handler.Load is null ? "null" : $"static async (c, s, x, p, t) => {handler.Load}")}, "
              + $"static (c, s, l, x) => {body})"
            : $"new global::Platform.Messaging.PolicyHandler<{command.Full}>("
              + $"{(handler.Validate is null ? "null" : $"static (c, x, p) => {handler.Validate}")}, "
              + $"{(handler.Load is null ? "null" : $"static async (c, x, p, t) => {handler.Load}")}, "
              + $"static (c, l, x) => {body})";
        var parallel = handler.QueueParallel is { } given ? given.ToString(System.Globalization.CultureInfo.InvariantCulture) : "global::Platform.Messaging.MessageQueue.DefaultParallel";
        return $"            new global::Platform.Messaging.MessageType({Reading.Literal(command.Stored)}, typeof({command.Full}), {json}, {made}, "
            + $"new global::Platform.Messaging.MessageQueue({Reading.Literal(handler.QueueName)}, {parallel}), {handler.Retry}, {handler.Key}),";
    }
}
