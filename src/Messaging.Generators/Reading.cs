using System.Text;
using Microsoft.CodeAnalysis;

namespace Platform.Messaging.Generators;

/// <summary>From symbols to models.</summary>
internal static class Reading
{
    private const string Ours = "Platform.Messaging";

    public static Items<T> ToItems<T>(this IEnumerable<T> items) where T : IEquatable<T> => new([.. items]);

    private static string Full(ITypeSymbol type) => type.ToDisplayString(SymbolDisplayFormat.FullyQualifiedFormat);

    private static bool Is(ITypeSymbol type, string space, string name) => type.Name == name && type.ContainingNamespace?.ToDisplayString() == space;

    private static AttributeData? Attribute(ISymbol symbol, string name) =>
        symbol.GetAttributes().FirstOrDefault(a => a.AttributeClass is { } type && Is(type, Ours, name));

    private static string Text(string value) => Microsoft.CodeAnalysis.CSharp.SymbolDisplay.FormatLiteral(value, quote: true);

    public static string Snake(string name)
    {
        var text = new StringBuilder();
        for (var i = 0; i < name.Length; i++)
        {
            if (i > 0 && char.IsUpper(name[i]) && (!char.IsUpper(name[i - 1]) || (i + 1 < name.Length && char.IsLower(name[i + 1])))) { text.Append('_'); }
            text.Append(char.ToLowerInvariant(name[i]));
        }

        return text.ToString();
    }

    public static TypeName Name(ITypeSymbol type)
    {
        var alias = Attribute(type, "AliasAttribute");
        var name = alias is { ConstructorArguments.Length: > 0 } && alias.ConstructorArguments[0].Value is string given ? given : Snake(type.Name);
        var version = alias?.NamedArguments.FirstOrDefault(a => a.Key == "Version").Value.Value as int? ?? 1;
        return new TypeName(Full(type), type.Name, name, version, Place.Of(type));
    }

    public static StateModel? State(ITypeSymbol type, IAssemblySymbol assembly)
    {
        var stream = Attribute(type, "StreamAttribute");
        if (stream?.AttributeClass is not { TypeArguments.Length: 1 } attribute) { return null; }
        var creates = type.GetMembers("Create").OfType<IMethodSymbol>()
            .Where(m => m.IsStatic && m.Parameters.Length == 1 && SymbolEqualityComparer.Default.Equals(m.ReturnType, type)).Select(m => Name(m.Parameters[0].Type)).ToItems();
        var applies = type.GetMembers("Apply").OfType<IMethodSymbol>()
            .Where(m => !m.IsStatic && m.Parameters.Length == 1 && SymbolEqualityComparer.Default.Equals(m.ReturnType, type)).Select(m => Name(m.Parameters[0].Type)).ToItems();
        var faults = creates.Count == 0 ? new[] { new Fault("PLT004", Place.Of(type), type.Name) } : [];
        var streamType = stream.ConstructorArguments.Length > 0 ? stream.ConstructorArguments[0].Value as string ?? "" : "";
        return new StateModel(Name(type), streamType, Full(attribute.TypeArguments[0]), SymbolEqualityComparer.Default.Equals(type.ContainingAssembly, assembly), creates, applies, faults.ToItems());
    }

    public static ContextModel[] Context(INamedTypeSymbol context) =>
        [.. context.GetAttributes()
            .Where(a => a.AttributeClass?.Name == "JsonSerializableAttribute" && a.ConstructorArguments.Length > 0)
            .Select(a => a.ConstructorArguments[0].Value).OfType<ITypeSymbol>().Select(t => new ContextModel(Full(context), Full(t)))];

    public static UpcasterModel Upcaster(IMethodSymbol method, AttributeData attribute)
    {
        var right = method.IsStatic && method.Parameters.Length == 1 && method.ReturnType.Name == "JsonElement" && method.Parameters[0].Type.Name == "JsonElement"
            && method.DeclaredAccessibility is Accessibility.Public or Accessibility.Internal;
        var name = $"{Full(method.ContainingType)}.{method.Name}";
        return new UpcasterModel(
            name,
            attribute.ConstructorArguments[0].Value as string ?? "",
            attribute.ConstructorArguments[1].Value as int? ?? 0,
            (right ? [] : new[] { new Fault("PLT010", Place.Of(method), name, method.Name) }).ToItems());
    }

    public static HandlerModel? Handler(INamedTypeSymbol type, Compilation compilation)
    {
        var handles = type.GetMembers("Handle").OfType<IMethodSymbol>().Where(m => m.IsStatic && m.DeclaredAccessibility == Accessibility.Public).ToArray();
        var validates = Methods(type, "Validate");
        var loads = Methods(type, "LoadAsync").Concat(Methods(type, "Load")).ToArray();
        if (handles.Length == 0 && validates.Length == 0 && loads.Length == 0) { return null; }

        var commandName = type.Name.Substring(0, type.Name.Length - "Handler".Length);
        var place = Place.Of(type);
        if (handles.Length != 1 || handles[0].Parameters.Length == 0 || handles[0].Parameters[0].Type.Name != commandName)
        {
            return Broken(type, new Fault("PLT001", handles.Length > 0 ? Place.Of(handles[0]) : place, type.Name, commandName));
        }

        var handle = handles[0];
        var command = handle.Parameters[0].Type;
        var faults = new List<Fault>();

        IParameterSymbol? stateParameter = null;
        StateModel? state = null;
        foreach (var parameter in handles.Concat(validates).Concat(loads).SelectMany(m => m.Parameters.Skip(1)))
        {
            if (State(parameter.Type, compilation.Assembly) is not { } found) { continue; }
            if (state is not null && state.Type.Full != found.Type.Full)
            {
                faults.Add(new Fault("PLT009", Place.Of(parameter), type.Name, $"a handler has one state, {state.Type.Simple} and {found.Type.Simple} are two"));
                continue;
            }

            state = found;
            // Handle's own parameter says whether the stream must exist.
            stateParameter = stateParameter is null || SymbolEqualityComparer.Default.Equals(parameter.ContainingSymbol, handle) ? parameter : stateParameter;
        }

        var required = stateParameter is { NullableAnnotation: not NullableAnnotation.Annotated };
        if (handle.Parameters.Skip(1).All(p => State(p.Type, compilation.Assembly) is null))
        {
            var others = validates.Concat(loads).SelectMany(m => m.Parameters).Where(p => State(p.Type, compilation.Assembly) is not null).ToArray();
            required = others.Length > 0 && others.All(p => p.NullableAnnotation != NullableAnnotation.Annotated);
        }

        string? streamId = null;
        var key = "static _ => null";
        if (state is not null)
        {
            var named = Properties(command).Where(p => Full(p.Type) == state.IdType).ToArray();
            var chosen = named.Length == 1 ? named[0] : named.Where(p => Attribute(p, "StreamIdAttribute") is not null).SingleOrNone();
            if (chosen is null) { faults.Add(new Fault("PLT005", Place.Of(command) ?? place, command.Name, state.IdType.Replace("global::", ""))); }
            else
            {
                streamId = $"static c => c.{chosen.Name}.Value";
                key = $"static m => ((({Full(command)})m).{chosen.Name}.Value).ToString()";
            }
        }

        if (Attribute(command, "OrderedByAttribute") is { } ordered && ordered.ConstructorArguments[0].Value is string property)
        {
            if (Properties(command).FirstOrDefault(p => p.Name == property) is not { } found) { faults.Add(new Fault("PLT011", Place.Of(command) ?? place, command.Name, property)); }
            else { key = $"static m => string.Create(global::System.Globalization.CultureInfo.InvariantCulture, $\"{{(({Full(command)})m).{found.Name}}}\")"; }
        }
        else if (Attribute(command, "UnorderedAttribute") is not null) { key = "static _ => null"; }

        if (validates.Length > 1 || loads.Length > 1) { faults.Add(new Fault("PLT009", place, type.Name, "one Validate and one LoadAsync at most")); }
        var load = loads.FirstOrDefault();
        var (loaded, isTask) = load is null ? (null, false) : Awaited(load.ReturnType);
        var wrongResult = !Result(handle, state is not null, out var result);
        if (wrongResult) { faults.Add(new Fault("PLT003", Place.Of(handle), type.Name, handle.ReturnType.ToDisplayString())); }

        string? Bind(IMethodSymbol method, bool pure)
        {
            if (method.Parameters.Length == 0 || !SymbolEqualityComparer.Default.Equals(method.Parameters[0].Type, command))
            {
                faults.Add(new Fault("PLT009", Place.Of(method), type.Name, $"the first parameter of {method.Name} is the command {command.Name}"));
                return null;
            }

            var arguments = new List<string> { "c" };
            foreach (var parameter in method.Parameters.Skip(1))
            {
                var at = parameter.Type;
                if (state is not null && Full(at) == state.Type.Full) { arguments.Add(required || parameter.NullableAnnotation != NullableAnnotation.Annotated ? "s!" : "s"); }
                else if (pure && loaded is not null && SymbolEqualityComparer.Default.Equals(at, loaded)) { arguments.Add($"({Full(at)}{(at.IsReferenceType ? "?" : "")})l!"); }
                else if (Is(at, "System", "DateTimeOffset")) { arguments.Add("x.Now"); }
                else if (Is(at, Ours, "TenantId")) { arguments.Add("x.Tenant"); }
                else if (Is(at, Ours, "Envelope")) { arguments.Add("x.Envelope"); }
                else if (Is(at, Ours, "MessageContext")) { arguments.Add("x"); }
                else if (!pure && Is(at, "System.Threading", "CancellationToken")) { arguments.Add(method.Name == "Validate" ? "default" : "t"); }
                else if (pure) { faults.Add(new Fault("PLT002", Place.Of(parameter), type.Name, at.ToDisplayString())); }
                else if (!at.IsReferenceType) { faults.Add(new Fault("PLT009", Place.Of(parameter), type.Name, $"{at.ToDisplayString()} is no service")); }
                else { arguments.Add($"global::Platform.Messaging.HandlerServices.Require<{Full(at)}>(p)"); }
            }

            return $"{Full(type)}.{method.Name}({string.Join(", ", arguments)})";
        }

        var handleCall = Bind(handle, pure: true) ?? "";
        string? validate = null;
        if (validates.FirstOrDefault() is { } validation)
        {
            validate = Bind(validation, pure: false);
            if (!Is(validation.ReturnType, Ours, "Problem")) { faults.Add(new Fault("PLT009", Place.Of(validation), type.Name, "Validate returns Problem?")); }
        }

        string? loadCall = null;
        if (load is not null)
        {
            loadCall = Bind(load, pure: false);
            if (!isTask && load.Name == "LoadAsync") { faults.Add(new Fault("PLT009", Place.Of(load), type.Name, "LoadAsync returns Task<T> or Task")); }
            loadCall = isTask ? loaded is null ? $"{{ await {loadCall}; return null; }}" : $"{{ return await {loadCall}; }}" : $"{{ await global::System.Threading.Tasks.Task.CompletedTask; return {loadCall}; }}";
        }

        var queue = Attribute(command, "QueueAttribute");
        return new HandlerModel(
            type.Name,
            place,
            Name(command),
            state,
            required,
            streamId,
            key,
            Retry(command),
            queue?.ConstructorArguments[0].Value as string ?? "default",
            queue?.NamedArguments.FirstOrDefault(a => a.Key == "MaxParallel").Value.Value as int?,
            validate,
            loadCall,
            loaded is not null,
            string.Format(System.Globalization.CultureInfo.InvariantCulture, result, handleCall),
            faults.ToItems());
    }

    private static IMethodSymbol[] Methods(INamedTypeSymbol type, string name) =>
        [.. type.GetMembers(name).OfType<IMethodSymbol>().Where(m => m.IsStatic && m.DeclaredAccessibility == Accessibility.Public)];

    private static T? SingleOrNone<T>(this IEnumerable<T> items) where T : class
    {
        var found = items.Take(2).ToArray();
        return found.Length == 1 ? found[0] : null;
    }

    private static IEnumerable<IPropertySymbol> Properties(ITypeSymbol type)
    {
        for (var at = type; at is not null; at = at.BaseType)
        {
            foreach (var property in at.GetMembers().OfType<IPropertySymbol>().Where(p => !p.IsStatic && p.DeclaredAccessibility == Accessibility.Public)) { yield return property; }
        }
    }

    private static (ITypeSymbol? Value, bool IsTask) Awaited(ITypeSymbol type) => type is INamedTypeSymbol { Name: "Task" or "ValueTask" } task
        ? (task.TypeArguments.FirstOrDefault(), true)
        : (type.SpecialType == SpecialType.System_Void ? null : type, false);

    /// <summary>How the call of Handle, {0}, becomes an Outcome.</summary>
    private static bool Result(IMethodSymbol handle, bool hasState, out string form)
    {
        const string outcome = "global::Platform.Messaging.Outcome";
        var type = handle.ReturnType;
        form = $"{{{{ {{0}}; return default({outcome}); }}}}";
        if (handle.ReturnsVoid) { return true; }
        if (Is(type, Ours, "OutgoingMessages")) { form = $"{{{{ return new {outcome}(null, {{0}}); }}}}"; return true; }
        if (Is(type, Ours, "Events")) { form = $"{{{{ return new {outcome}({{0}}, null); }}}}"; return hasState; }
        if (type is INamedTypeSymbol { IsTupleType: true, TupleElements.Length: 2 } tuple && Is(tuple.TupleElements[0].Type, Ours, "Events") && Is(tuple.TupleElements[1].Type, Ours, "OutgoingMessages"))
        {
            form = $"{{{{ var (e, m) = {{0}}; return new {outcome}(e, m); }}}}";
            return hasState;
        }

        return false;
    }

    private static string Retry(ITypeSymbol command)
    {
        if (Attribute(command, "RetryNowAttribute") is { } now) { return $"global::Platform.Messaging.RetryPolicy.Now({now.ConstructorArguments[0].Value})"; }
        return Attribute(command, "RetryWithBackoffAttribute") is { } back
            ? $"new global::Platform.Messaging.RetryPolicy({back.ConstructorArguments[0].Value}, global::System.TimeSpan.FromMilliseconds({back.ConstructorArguments[1].Value}), global::System.TimeSpan.FromMilliseconds({back.ConstructorArguments[2].Value}))"
            : "global::Platform.Messaging.RetryPolicy.Default";
    }

    private static HandlerModel Broken(INamedTypeSymbol type, Fault fault) =>
        new(type.Name, Place.Of(type), null, null, false, null, null, "", "", null, null, null, false, "", new[] { fault }.ToItems());

    public static string Literal(string value) => Text(value);
}
