namespace Platform.Domain.Daemons.Expressions.Language;

/// <summary>One inference: what is known of the names, and the errors found.</summary>
internal sealed class Inferring(ITypeScope scope)
{
    public ITypeScope Scope { get; } = scope;

    public List<ExpressionError> Errors { get; } = [];

    /// <summary>Infers a part and notes an error when it can be none of the types.</summary>
    public ExpressionType Require(Node part, Kinds wanted, string user)
    {
        var type = part.Infer(this);
        if (type != ExpressionType.Any && (wanted & type.ToKind().ToKinds()) == 0)
        {
            Errors.Add(new ExpressionError($"{user} takes {wanted.Describe()}, and this is {type.ToKind().Describe()}.", part.Offset));
        }

        return type;
    }

    public static ExpressionType Either(ExpressionType a, ExpressionType b) => a == b ? a : ExpressionType.Any;
}
