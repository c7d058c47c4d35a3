-- how DuckDB reads a text: the size of its tree in bytes, and the tree where it is not too large
SELECT strlen(t), CASE WHEN strlen(t) <= ? THEN t END
FROM (SELECT json_serialize_sql(?::VARCHAR)::VARCHAR AS t)
